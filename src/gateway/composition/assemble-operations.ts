/** Of phase 2: the way of an operation, from its acceptance to its record. */

import type { OwnershipService } from '../agents/ownership.js';
import { recordedResult, receipt, tooLargeResult } from '../grpc/frames.js';
import { Adoption } from '../operations/adoption.js';
import { Forwarder } from '../peers/forwarder.js';
import { Recorder } from '../operations/recorder.js';
import { Recovery } from '../operations/recovery.js';
import { Results } from '../operations/results.js';
import { Acceptance } from '../operations/acceptance.js';
import { Refusals } from '../operations/refusals.js';
import { Routing } from '../operations/routing.js';
import type { AgentParts } from './assemble-agents.js';
import type { Dependencies } from './connect.js';
import type { StartContext } from './start-context.js';

export interface OperationParts {
  readonly recorder: Recorder;
  readonly refusals: Refusals;
  readonly forwarder: Forwarder;
  readonly routing: Routing;
  readonly acceptance: Acceptance;
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
  const { config, logger, lifetime } = context;
  const { metrics, tracing, discovery } = dependencies;
  const { operations } = dependencies.stores;
  const instanceId = config.instance.id;
  const recorder = new Recorder({ operations, logger, metrics, stopping: lifetime.stopping });
  lifetime.push('recorder', () => recorder.idle());
  const refusals = new Refusals({ instanceId, operations, logger, metrics, now: context.now });
  // Whoever was refused has been told; what a database does not take at the end is lost.
  lifetime.push('refusals', () => refusals.write().catch(() => undefined));
  lifetime.background('refusals', (at) => refusals.run(at));
  const forwarder = createForwarder(context, dependencies);
  const routing = new Routing({
    instanceId,
    ownership,
    registry,
    discovery,
    forwarder,
    bind: (operationId, binding) => operations.bind(operationId, binding),
    stopping: lifetime.stopping,
    logger,
    metrics,
    tracing,
    attempts: config.kubesvc.operations.routingAttempts,
  });
  const acceptance = createAcceptance(context, dependencies, { ownership, routing, recorder });
  const results = createResults(context, dependencies, { acceptance, forwarder, recorder });
  const recovery = new Recovery({ acceptance, routing, ownership, logger, metrics, checkMs: recoveryCheckMs });
  recovery.start();
  lifetime.push('recovery', () => {
    recovery.stop();
  });
  lifetime.background('recovery', (at) => recovery.run(at));
  const adoption = new Adoption({ instanceId, operations, acceptance, recorder, logger, overdueMs });
  return { recorder, refusals, forwarder, routing, acceptance, results, adoption };
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

function createAcceptance(
  { config, logger, now, lifetime }: StartContext,
  { stores: { operations }, metrics }: Dependencies,
  parts: { readonly ownership: OwnershipService; readonly routing: Routing; readonly recorder: Recorder },
): Acceptance {
  const { cache, grpc, operations: limits } = config.kubesvc;
  return new Acceptance({
    ...parts,
    instanceId: config.instance.id,
    operations,
    recordedResult,
    stopping: lifetime.stopping,
    logger,
    metrics,
    pending: { entries: limits.maxPending, bytes: limits.maxPendingBytes },
    defaultTimeoutMs: cache.operationWaitMs,
    maxTimeoutMs: limits.maxTimeoutMs,
    maxMessageBytes: grpc.server.maxInboundMessageSize,
    now,
  });
}

function createResults(
  { config, logger, now, lifetime }: StartContext,
  { stores: { operations }, discovery, metrics, tracing }: Dependencies,
  parts: { readonly acceptance: Acceptance; readonly forwarder: Forwarder; readonly recorder: Recorder },
): Results {
  return new Results({
    ...parts,
    instanceId: config.instance.id,
    discovery,
    operations,
    logger,
    metrics,
    tracing,
    maxMessageBytes: config.kubesvc.grpc.server.maxInboundMessageSize,
    receipt,
    tooLarge: tooLargeResult,
    stopping: lifetime.stopping,
    now,
  });
}
