/** The instance that is asked, in memory: the real acceptance and recorder, over a database and a routing that tests hold in hand. */

import { create, toBinary } from '@bufbuild/protobuf';
import type { Test } from 'tap';
import { GatewayError } from '../../../../src/core/errors.js';
import type { PendingLimits } from '../../../../src/core/pending.js';
import { OwnershipService } from '../../../../src/gateway/agents/ownership.js';
import { recordedResult } from '../../../../src/gateway/grpc/frames.js';
import { Recorder } from '../../../../src/gateway/operations/recorder.js';
import { Acceptance, type Accepted } from '../../../../src/gateway/operations/acceptance.js';
import type { Submission } from '../../../../src/gateway/operations/submission.js';
import { createMetrics } from '../../../../src/gateway/telemetry/metrics.js';
import { OperationResultSchema, OperationSchema } from '../../../../src/protocol/generated/ops/operations_pb.js';
import { withOrigin } from '../../../../src/protocol/wire.js';
import { OwnershipMap } from '../../../../src/store/mirror/ownership-map.js';
import { recordingLogger } from '../../../discovery/recording-logger.js';
import { TruthDouble } from '../../../store/mirror/replicas.js';
import { OperationStoreDouble } from './operation-store.js';
import { RoutingDouble } from './routing.js';

/** The instance that is asked. */
export const here = 'here';
/** Ids that a caller may choose, in their order. */
export const ids = ['01ARZ3NDEKTSV4RRFFQ69G5FAA', '01ARZ3NDEKTSV4RRFFQ69G5FAB', '01ARZ3NDEKTSV4RRFFQ69G5FAC'] as const;

export const defaultTimeoutMs = 30_000;
export const maxTimeoutMs = 60_000;
export const maxMessageBytes = 10_000;

const scale = toBinary(
  OperationSchema,
  create(OperationSchema, { account: 'prod', request: { case: 'scale', value: { replicas: 2 } } }),
);

/** A change of a cluster, unless `change` says otherwise. */
export function submission(change: Partial<Submission> = {}): Submission {
  return {
    id: '',
    account: 'prod',
    type: 'scale',
    timeoutMs: 0,
    digest: 'digest',
    encode: (id, receivedTime) =>
      withOrigin(scale, { id, originatingInstanceId: here, receivedTime, traceparent: '', tracestate: '' }),
    ...change,
  };
}

/** What an agent answers. */
export function result(operationId: string, status = 200, account = 'prod', more: object = {}): Uint8Array {
  return toBinary(OperationResultSchema, create(OperationResultSchema, { operationId, status, account, ...more }));
}

export function setUpEntry(t: Test, pending: PendingLimits = { entries: 100 }) {
  const store = new OperationStoreDouble();
  const routing = new RoutingDouble();
  const truth = new TruthDouble();
  const map = new OwnershipMap();
  const logger = recordingLogger();
  const metrics = createMetrics(here, 'test');
  const ownership = new OwnershipService({ assignments: truth, map, logger });
  const recorder = new Recorder({ operations: store, logger, metrics, stopping: routing.stopping });
  const acceptance = new Acceptance({
    instanceId: here,
    ownership,
    routing,
    stopping: routing.stopping,
    recorder,
    operations: store,
    recordedResult,
    logger,
    metrics,
    pending,
    defaultTimeoutMs,
    maxTimeoutMs,
    maxMessageBytes,
    now: () => 1_700_000_000_000,
  });
  t.teardown(async () => {
    routing.stop(new GatewayError('draining', 'the test is over'));
    for (const account of [...acceptance.accountsUnderWay()])
      for (const { id } of acceptance.ofAccount(account)) acceptance.take(id);
    await recorder.idle();
  });
  return {
    ...{ store, routing, truth, map, logger, metrics, ownership, recorder, acceptance },
    submit: (change?: Partial<Submission>): Promise<Accepted> => acceptance.submit(submission(change)),
  };
}
