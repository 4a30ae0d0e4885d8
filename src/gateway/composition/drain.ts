/**
 * How a replica drains: not ready → wait for the endpoint's removal → no new agents → its agents are asked to dial
 * again one by one and are served until they have → no new operations → operations under way end. Streams still open at
 * the deadline are cut: its agents dial again by themselves, and their results find their way (operations/results.ts).
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
import type { KubernetesApiHandler } from '../kubernetes-api/handler.js';
import type { Acceptance } from '../operations/acceptance.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Readiness } from '../telemetry/readiness.js';

export interface DrainOptions {
  /** Whether agents can go to other instances; if not, they stay until their streams end, and then keep dialling. */
  readonly agentsMove: boolean;
  readonly registry: Registry;
  readonly registrations: Registrations;
  readonly acceptance: Acceptance;
  readonly frames: SessionFrames;
  readonly readiness: Readiness;
  readonly discovery: Discovery;
  readonly agents: GrpcServer;
  readonly agentsPort: Port;
  readonly restPort: Port;
  readonly kubernetesApi: Pick<KubernetesApiHandler, 'drain' | 'openCount'> | undefined;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Time for load balancers to stop sending, in ms. */
  readonly endpointRemovalMs: number;
  /** Time over which agents are asked to dial again, in ms. */
  readonly reconnectSpreadMs: number;
  /** The error for refused registrations and operations. */
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
  const { registry, acceptance, readiness, discovery, agents, agentsPort, restPort, metrics, logger, refusal } =
    options;
  const { kubernetesApi } = options;
  logger.info({ agents: registry.agentCount, operations: acceptance.pendingCount }, 'draining');
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
  acceptance.refuse(refusal);
  kubernetesApi?.drain(refusal);
  restPort.refuse();
  const requests = (): number => kubernetesApi?.openCount ?? 0;
  await until(() => acceptance.pendingCount === 0 && requests() === 0, deadline);
  const left = { agents: registry.agentCount, operations: acceptance.pendingCount, requests: requests() };
  logger.info(left, 'drained');
}

function askToLeave({ registry, frames, reconnectSpreadMs }: DrainOptions): void {
  const sessions = [...registry.sessions].filter((session) => session.state === 'active');
  sessions.forEach((session, index) => {
    session.leaving = true;
    try {
      session.send(frames.reconnect('draining', Math.round((index / sessions.length) * reconnectSpreadMs)));
    } catch {
      // The agent is not reading; it will notice the end of its stream.
    }
  });
}

async function until(condition: () => boolean, deadline: AbortSignal): Promise<void> {
  while (!deadline.aborted && !condition()) await pause(pollMs, deadline);
}

async function pause(ms: number, deadline: AbortSignal): Promise<void> {
  if (ms > 0) await wait(ms, deadline).catch(() => undefined);
}
