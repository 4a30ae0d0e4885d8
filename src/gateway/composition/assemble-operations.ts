/** Of phase 2: the way of an operation, from its acceptance to its record. */

import { recordedResult, receipt, tooLargeResult } from '../grpc/frames.js';
import { Adoption } from '../operations/adoption.js';
import { Forwarder } from '../operations/forwarder.js';
import { Recorder } from '../operations/recorder.js';
import { Recovery } from '../operations/recovery.js';
import { Results } from '../operations/results.js';
import { Router } from '../operations/router.js';
import { Routing } from '../operations/routing.js';
import type { AgentParts } from './assemble-agents.js';
import type { Dependencies } from './connect.js';
import type { StartContext } from './start-context.js';

export interface OperationParts {
  readonly recorder: Recorder;
  readonly forwarder: Forwarder;
  readonly routing: Routing;
  readonly router: Router;
  readonly results: Results;
  readonly adoption: Adoption;
}

/** An operation that is overdue for this long has nobody who ends it, in ms. */
const overdueMs = 10_000;
const recoveryCheckMs = 2_000;

export function assembleOperations(
  context: StartContext,
  dependencies: Dependencies,
  { ownership, registry }: Pick<AgentParts, 'ownership' | 'registry'>,
): OperationParts {
  const { config, logger, now, lifetime } = context;
  const { metrics, tracing, discovery } = dependencies;
  const { operations } = dependencies.stores;
  const options = config.kubesvc.operations;
  const instanceId = config.instance.id;
  const maxMessageBytes = config.kubesvc.grpc.server.maxInboundMessageSize;

  const recorder = new Recorder({ operations, logger, metrics, stopping: lifetime.stopping });
  lifetime.push('recorder', () => recorder.idle());
  const forwarder = createForwarder(context, dependencies);
  const routing = new Routing({
    instanceId,
    ownership,
    registry,
    discovery,
    forwarder,
    bind: (operationId, binding) => operations.bind(operationId, binding),
    logger,
    metrics,
    tracing,
    attempts: options.routingAttempts,
  });
  lifetime.push('routing', () => {
    routing.stop();
  });
  const router = new Router({
    instanceId,
    ownership,
    routing,
    recorder,
    operations,
    recordedResult,
    logger,
    metrics,
    pending: { entries: options.maxPending, bytes: options.maxPendingBytes },
    defaultTimeoutMs: config.kubesvc.cache.operationWaitMs,
    maxTimeoutMs: options.maxTimeoutMs,
    maxMessageBytes,
    now,
  });
  const results = new Results({
    instanceId,
    router,
    forwarder,
    discovery,
    recorder,
    operations,
    logger,
    metrics,
    tracing,
    maxMessageBytes,
    receipt,
    tooLarge: tooLargeResult,
    stopping: lifetime.stopping,
    now,
  });
  const recovery = new Recovery({ router, routing, ownership, logger, metrics, checkMs: recoveryCheckMs });
  recovery.start();
  lifetime.push('recovery', () => {
    recovery.stop();
  });
  lifetime.background('recovery', (at) => recovery.run(at));
  const adoption = new Adoption({ instanceId, operations, router, recorder, logger, overdueMs });
  return { recorder, forwarder, routing, router, results, adoption };
}

function createForwarder(
  { config, lifetime }: StartContext,
  { discovery, security, tlsToPeers }: Dependencies,
): Forwarder {
  const { peerConnections, forwardTimeoutMs } = config.kubesvc.operations;
  const { instanceTokens } = security;
  const forwarder = new Forwarder({
    instanceId: config.instance.id,
    connections: peerConnections,
    timeoutMs: forwardTimeoutMs,
    tls: () => tlsToPeers.current,
    sign: instanceTokens && instanceTokens.sign.bind(instanceTokens),
  });
  lifetime.push('forwarder', () => forwarder.stop());
  lifetime.push(
    'forwarder to gone instances',
    discovery.onChange(({ removed }) => {
      for (const id of removed) void forwarder.forget(id);
    }),
  );
  return forwarder;
}
