/**
 * How a replica leaves: not ready → wait for the endpoint's removal → no new agents → its agents are asked to dial again
 * one by one and are served until they have → no new operations → what is under way ends. What is still open at the
 * deadline is cut: its agents dial again by themselves, and their results find their way (operations/results.ts).
 */

import { GatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { wait } from '../../core/retry.js';
import type { Discovery } from '../../discovery/discovery.js';
import type { Registrations } from '../agents/registrations.js';
import type { Registry } from '../agents/registry.js';
import type { SessionFrames } from '../agents/session-frames.js';
import type { GrpcServer } from '../grpc/server.js';
import type { Port } from '../listeners/port.js';
import type { Router } from '../operations/router.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Readiness } from '../telemetry/readiness.js';

export interface DrainOptions {
  /** Whether there are other instances to go to; without, agents stay until their streams end, and dial on. */
  readonly agentsMove: boolean;
  readonly registry: Registry;
  readonly registrations: Registrations;
  readonly router: Router;
  readonly frames: SessionFrames;
  readonly readiness: Readiness;
  readonly discovery: Discovery;
  readonly agents: GrpcServer;
  readonly agentsPort: Port;
  readonly restPort: Port;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Time that load balancers get to stop sending, in ms. */
  readonly endpointRemovalMs: number;
  /** Over which time agents are asked to dial again, in ms. */
  readonly reconnectSpreadMs: number;
  /** What registrations and operations are refused with. */
  readonly refusal: GatewayError;
}

const pollMs = 50;

/** What agents and callers are told once this instance stops. */
export function shuttingDown(instanceId: string): GatewayError {
  const message = `instance ${instanceId} is shutting down; dial or ask another one`;
  return new GatewayError('draining', message, { instanceId, retryAfterMs: 1_000 });
}

/** Resolves when everything has left, or when the deadline aborts. */
export async function drainGateway(options: DrainOptions, deadline: AbortSignal): Promise<void> {
  const { registry, router, readiness, discovery, agents, agentsPort, restPort, metrics, logger, refusal } = options;
  logger.info({ agents: registry.agentCount, operations: router.pendingCount }, 'draining');
  metrics.draining.set(1);
  readiness.draining();
  discovery.setReady(false);
  agents.setServing(false);
  await pause(options.endpointRemovalMs, deadline);
  options.registrations.refuse(refusal);
  agentsPort.refuse();
  if (options.agentsMove) {
    askToLeave(options);
    await until(() => registry.sessions.size === 0, deadline);
  }
  router.refuse(refusal);
  restPort.refuse();
  await until(() => router.pendingCount === 0, deadline);
  logger.info({ agents: registry.agentCount, operations: router.pendingCount }, 'drained');
}

function askToLeave({ registry, frames, reconnectSpreadMs }: DrainOptions): void {
  const sessions = [...registry.sessions].filter((session) => session.state === 'active');
  sessions.forEach((session, index) => {
    session.leaving = true;
    try {
      session.send(frames.reconnect('draining', Math.round((index / sessions.length) * reconnectSpreadMs)));
    } catch {
      // It does not read; the end of its stream will tell it.
    }
  });
}

async function until(condition: () => boolean, deadline: AbortSignal): Promise<void> {
  while (!deadline.aborted && !condition()) await pause(pollMs, deadline);
}

async function pause(ms: number, deadline: AbortSignal): Promise<void> {
  if (ms > 0) await wait(ms, deadline).catch(() => undefined);
}
