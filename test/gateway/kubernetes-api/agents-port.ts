/** The gRPC server of agents with its domain, without a database, for tests of the Kubernetes API. */

import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { AgentConnection } from '../../../src/agent/connection.js';
import { silentLogger } from '../../../src/core/logger.js';
import { CachingSwitches } from '../../../src/gateway/agents/caching-assignment/switches.js';
import { Claims } from '../../../src/gateway/agents/claims.js';
import { OwnershipService } from '../../../src/gateway/agents/ownership.js';
import { Registrations } from '../../../src/gateway/agents/registrations.js';
import { Registry } from '../../../src/gateway/agents/registry.js';
import type { Session } from '../../../src/gateway/agents/session.js';
import { createFrames } from '../../../src/gateway/grpc/frames.js';
import { createKubernetesApiService } from '../../../src/gateway/grpc/kubernetes-api-service.js';
import { createOperationsService } from '../../../src/gateway/grpc/operations-service.js';
import { createGrpcServer } from '../../../src/gateway/grpc/server.js';
import { AgentTunnels, type AgentTunnelsLimits } from '../../../src/gateway/kubernetes-api/agent-tunnels.js';
import type { Results } from '../../../src/gateway/operations/results.js';
import { createMetrics } from '../../../src/gateway/telemetry/metrics.js';
import { OwnershipMap } from '../../../src/store/mirror/ownership-map.js';
import type { AnswerRequest } from '../../../src/tunnel/exchange.js';
import { fast } from '../../agent/set-up.js';
import { TruthDouble } from '../../store/mirror/replicas.js';
import { waitFor } from '../../wait.js';

interface Teardown {
  teardown(release: () => unknown): unknown;
}

export interface AgentsPort {
  readonly address: string;
  readonly registry: Registry;
  readonly tunnels: AgentTunnels;
  /** Sockets of agents that are connected. */
  readonly connections: () => number;
}

export async function startAgentsPort(t: Teardown, limits: Partial<AgentTunnelsLimits> = {}): Promise<AgentsPort> {
  const instanceId = 'gateway-1';
  const lease = { sure: true, term: 0 };
  const ownership = new OwnershipService({
    assignments: new TruthDouble(),
    map: new OwnershipMap(),
    logger: silentLogger,
  });
  let epoch = 0;
  const nextEpochs = (count: number): Promise<number> => Promise.resolve((epoch += count) - count + 1);
  const claims = new Claims({
    ...{ ownership, nextEpochs, lease, cachingGraceMs: 3_500, timeoutMs: 30_000, logger: silentLogger },
  });
  const frames = createFrames(instanceId, 4 << 20);
  const metrics = createMetrics(instanceId, 'test');
  const times = { quietMs: 1_000, silenceMs: 8_000, lostMs: 10_000 };
  const registry = new Registry({
    presence: { connected: () => undefined, left: () => undefined },
    ...{ instanceId, ownership, claims, frames, metrics, logger: silentLogger },
    ...{ times: { alone: times, sharing: times }, lateResultMs: 1_000, now: Date.now },
  });
  const caching = new CachingSwitches({ registry, ownership, frames, lease });
  const registrations = new Registrations({
    ...{ instanceId, registry, claims, ownership, caching, frames, logger: silentLogger, maxAccountsPerAgent: 100 },
    bindZone: () => Promise.resolve(true),
  });
  const tunnels = new AgentTunnels({ frames, limits });
  const admission = { admit: undefined, timeoutMs: 10_000, logger: silentLogger, metrics };
  const common = { registry, admission, handshakeTimeoutMs: 10_000 };
  const server = createGrpcServer({
    operations: createOperationsService({
      ...{
        ...common,
        registrations,
        caching,
        presence: { refused: () => undefined },
        results: undefined as unknown as Results,
        logger: silentLogger,
        metrics,
      },
      ...{ registrationLimits: { take: () => undefined }, limits: { maxInFlight: 100, queueLimit: 100 } },
      ...{ maxMessageBytes: 4 << 20, registrationTimeoutMs: 30_000, now: () => performance.now() },
    }),
    caching: { stream: () => undefined },
    kubernetesApi: createKubernetesApiService({ ...common, tunnels }),
    ...{ health: false, reflection: false, maxMessageBytes: 4 << 20, keepAliveTimeMs: 10_000 },
    ...{ keepAliveTimeoutMs: 10_000, maxConnectionAgeMs: 0, maxConnectionAgeGraceMs: 0 },
  });
  let open = 0;
  const port = createServer((socket) => {
    open += 1;
    socket.on('close', () => (open -= 1));
    server.take(socket);
  });
  await new Promise<void>((resolve) => port.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.stop();
    port.close();
  });
  const address = `127.0.0.1:${String((port.address() as AddressInfo).port)}`;
  return { address, registry, tunnels, connections: () => open };
}

/** An agent `agent-1` that serves the account `a`, once it is registered. */
export async function startAgent(
  t: Teardown,
  port: AgentsPort,
  answer: AnswerRequest | undefined,
): Promise<{ readonly connection: AgentConnection; readonly session: Session }> {
  const before = port.registry.sessionOf(undefined, 'agent-1');
  const connection = new AgentConnection({
    addresses: [port.address],
    registration: { agentId: 'agent-1', zoneId: '', version: '1.2.3', accounts: [{ name: 'a' }] },
    execute: () => Promise.resolve({ status: 200 }),
    logger: silentLogger,
    limits: { backoff: fast },
    ...(answer === undefined ? {} : { answerKubernetesApi: answer }),
  });
  t.teardown(() => connection.stop());
  connection.start();
  const session = await waitFor(() => {
    const found = port.registry.sessionOf(undefined, 'agent-1');
    return found === before ? undefined : found;
  });
  await waitFor(() => connection.state.name === 'active');
  return { connection, session };
}
