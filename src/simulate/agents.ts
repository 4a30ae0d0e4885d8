/** Simulated agents: real connections of the agent protocol, with answers made up from a seed instead of a cluster. */

import { setTimeout } from 'node:timers/promises';
import { defaultLimits, type AgentConnectionOptions, type AgentConnectionLimits } from '../agent/connection-options.js';
import type { ConnectionState } from '../agent/connection-state.js';
import type { StreamAccount } from '../agent/caching-sink.js';
import { AgentConnection } from '../agent/connection.js';
import { TellableError } from '../core/errors.js';
import type { DynamicAccountHandler } from '../agent/dynamic-accounts.js';
import type { Execute } from '../agent/operation-runner.js';
import { batches } from '../core/batches.js';
import { silentLogger, type Logger } from '../core/logger.js';
import { wait, type Backoff } from '../core/retry.js';
import type { DynamicAccount } from '../protocol/generated/ops/operations_pb.js';
import { streamCluster } from './caching.js';
import { cannedFailure, cannedSuccess } from './canned-results.js';
import type { SimulatedCluster } from './cluster.js';
import { changeClusters, simulatedCluster, type SimulatedClustersOptions } from './clusters.js';
import { simulatedKubernetesApi } from './kubernetes-api.js';
import { derivedSeed, seededRandom } from './random.js';

export interface SimulatedAgentsOptions extends SimulatedClustersOptions {
  /** `host:port` of gateways. */
  readonly addresses: readonly string[];
  readonly agents: number;
  /** Number of the first one, so that several groups do not meet; default 0. */
  readonly firstAgent?: number;
  /** Of each agent. */
  readonly accounts: number;
  /** Time that an operation takes, in ms: uniform in latencyMs ± jitterMs. Default 0 ± 0. */
  readonly latencyMs?: number;
  readonly jitterMs?: number;
  /** Part of the operations that fail, 0 to 1; default 0. */
  readonly failureRate?: number;
  /** The n-th operation of an agent gets the same latency and answer for the same seed; default 1. */
  readonly seed?: number;
  /** Least size of objects and logs in a result, in bytes; default 0: as they come. */
  readonly resultBytes?: number;
  readonly zoneId?: string;
  /** To the Kubernetes API of their accounts; default: full. */
  readonly apiAccess?: 'off' | 'full';
  /** By account, instead of those that the options describe. */
  readonly clusters?: ReadonlyMap<string, SimulatedCluster>;
  /** Take dynamic accounts; `failing`: but those whose names match. Default: take none. */
  readonly dynamic?: SimulatedDynamicAccounts;
  /** Default: cleartext, without a token. */
  readonly security?: NonNullable<AgentConnectionOptions['security']>;
  readonly limits?: Partial<AgentConnectionLimits>;
  readonly logger?: Logger;
  readonly onState?: (state: ConnectionState, agent: number) => void;
}

export interface SimulatedDynamicAccounts {
  /** Accounts with such names cannot be served. */
  readonly failing?: RegExp;
  /** Time that it takes to begin with an account, in ms; default 0. */
  readonly latencyMs?: number;
  /** Told of each account that an agent is asked to serve, before it answers. */
  readonly onAdd?: (account: DynamicAccount, agent: number) => void;
}

export interface SimulatedAgentsStats {
  readonly agents: number;
  /** Registered now. */
  readonly connected: number;
  readonly executed: number;
  /** Of those executed. */
  readonly failed: number;
  /** Accounts that the gateway asked to cache. */
  readonly caching: number;
  /** Dynamic accounts that the agents serve, each agent's counted. */
  readonly dynamicAccounts: number;
  /** Objects and changes of objects that were sent. */
  readonly sentObjects: number;
}

export interface SimulatedAgents {
  readonly connections: readonly AgentConnection[];
  /** Every account, by agent. */
  readonly accounts: readonly string[];
  /** By account. */
  readonly clusters: ReadonlyMap<string, SimulatedCluster>;
  /** Waits until all are registered at one time. @throws the signal's reason */
  ready(signal?: AbortSignal): Promise<void>;
  stats(): SimulatedAgentsStats;
  stop(options?: { readonly drainMs?: number }): Promise<void>;
}

export function simulatedAgentId(agent: number): string {
  return `sim-agent-${agent}`;
}

export function simulatedAccount(agent: number, account: number): string {
  return `sim-${agent}-${account}`;
}

/** Starts the agents, which begin to dial; it does not wait for the gateway (`ready` does). */
export async function startSimulatedAgents(options: SimulatedAgentsOptions): Promise<SimulatedAgents> {
  const counts = { executed: 0, failed: 0, sentObjects: 0 };
  const clusters = new Map<string, SimulatedCluster>();
  const waiting = new Set<() => void>();
  const connections: AgentConnection[] = [];
  const accounts: string[] = [];
  /** Agents that are registered, by number. */
  const served = new Set<number>();

  const streamAccount: StreamAccount = async (account, sink, signal) => {
    const cluster = clusters.get(account) ?? simulatedCluster(options, account);
    clusters.set(account, cluster);
    await streamCluster(cluster, sink, signal, (objects) => (counts.sentObjects += objects));
  };

  const { firstAgent = 0, apiAccess = 'full' } = options;
  for (let agent = firstAgent; agent < firstAgent + options.agents; agent += 1) {
    const names = Array.from({ length: options.accounts }, (_, account) => simulatedAccount(agent, account));
    accounts.push(...names);
    for (const name of names) clusters.set(name, options.clusters?.get(name) ?? simulatedCluster(options, name));
    const { security, limits } = options;
    const connection = new AgentConnection({
      addresses: options.addresses,
      registration: {
        agentId: simulatedAgentId(agent),
        zoneId: options.zoneId ?? 'simulated_default',
        version: 'simulated',
        dynamicAccounts: names.length === 0,
        accounts: names.map((name) => ({
          name,
          kubeHost: `https://${name}.example`,
          kubeVersion: 'v1.33.0',
          properties: { kubernetesApi: apiAccess },
        })),
      },
      execute: simulatedExecute(options, agent, counts),
      ...(apiAccess === 'off' ? {} : { answerKubernetesApi: simulatedKubernetesApi(options.latencyMs ?? 0) }),
      // Without objects there is nothing to stream.
      ...((options.objects ?? 0) === 0 ? {} : { streamAccount }),
      logger: options.logger ?? silentLogger,
      ...(security === undefined ? {} : { security }),
      ...(options.dynamic === undefined ? {} : { dynamicAccounts: simulatedDynamicAccounts(options.dynamic, agent) }),
      // Thousands share one process: fewer ids each.
      limits: { rememberedOperations: 2_000, backoff: sharedBackoff(options.agents), ...limits },
      onState: (state) => {
        options.onState?.(state, agent);
        if (state.name === 'active') served.add(agent);
        else if (state.name !== 'reconnecting') served.delete(agent);
        if (served.size === options.agents) for (const check of waiting) check();
      },
    });
    connections.push(connection);
  }
  const starting = new AbortController();
  void startOverTime(connections, starting.signal);
  const stopChanges = changeClusters(clusters, options);

  return {
    connections,
    accounts,
    clusters,
    ready: (signal) =>
      new Promise((resolve, reject) => {
        const settle = (finish: () => void): void => {
          waiting.delete(check);
          signal?.removeEventListener('abort', abort);
          finish();
        };
        const check = (): void => {
          if (served.size === connections.length) settle(resolve);
        };
        const abort = (): void => settle(() => reject(signal?.reason as Error));
        waiting.add(check);
        signal?.addEventListener('abort', abort);
        if (signal?.aborted === true) abort();
        else check();
      }),
    stats: () => ({
      agents: connections.length,
      connected: served.size,
      ...counts,
      caching: connections.reduce((sum, connection) => sum + connection.caching.length, 0),
      dynamicAccounts: connections.reduce((sum, connection) => sum + connection.dynamicAccounts.length, 0),
    }),
    stop: async (stopOptions) => {
      starting.abort();
      stopChanges();
      await Promise.all(connections.map((connection) => connection.stop(stopOptions)));
    },
  };
}

/** Thousands share one process, which can dial so many a second: real ones have a machine each. */
const dialsPerSecond = 600;
const dialsPerTurn = 50;

/** The backoff of the agent, over the time that one process needs to dial for all. */
function sharedBackoff(agents: number): Backoff {
  const { backoff } = defaultLimits;
  const initialMs = (agents / dialsPerSecond / 2) * 1_000;
  return initialMs <= backoff.initialMs ? backoff : { ...backoff, initialMs, multiplier: 1.2, jitter: 0.9 };
}

async function startOverTime(connections: readonly AgentConnection[], signal: AbortSignal): Promise<void> {
  for (const some of batches(connections, dialsPerTurn)) {
    for (const connection of some) connection.start();
    if (connections.length > dialsPerTurn)
      await wait((dialsPerTurn / dialsPerSecond) * 1_000, signal).catch(() => undefined);
    if (signal.aborted) return;
  }
}

function simulatedDynamicAccounts(
  { failing, latencyMs = 0, onAdd }: SimulatedDynamicAccounts,
  agent: number,
): DynamicAccountHandler {
  return {
    add: async (account) => {
      onAdd?.(account, agent);
      const { name } = account;
      if (latencyMs > 0) await setTimeout(latencyMs);
      if (failing?.test(name) === true)
        throw new TellableError(`the simulated cluster of "${name}" refuses the credentials`);
      return {
        kubeHost: `https://${name}.example`,
        kubeVersion: 'v1.33.0',
        namespaces: ['default'],
        properties: { kubernetesApi: 'full' },
      };
    },
    remove: () => Promise.resolve(),
  };
}

/** `execute` of one agent: every operation draws the same amount of randomness, so that its answer depends on its rank. */
export function simulatedExecute(
  options: Pick<SimulatedAgentsOptions, 'latencyMs' | 'jitterMs' | 'failureRate' | 'seed' | 'resultBytes'>,
  agent: number,
  counts: { executed: number; failed: number } = { executed: 0, failed: 0 },
): Execute {
  const { latencyMs = 0, jitterMs = 0, failureRate = 0, seed = 1, resultBytes = 0 } = options;
  const sequence = seededRandom(derivedSeed(seed, agent));
  return async (operation, { signal }) => {
    const takesMs = Math.max(0, latencyMs + jitterMs * (2 * sequence() - 1));
    const fails = sequence() < failureRate;
    const content = seededRandom(sequence() * 2 ** 32);
    if (takesMs > 0) await wait(takesMs, signal);
    counts.executed += 1;
    if (fails) counts.failed += 1;
    return fails ? cannedFailure(content) : cannedSuccess(operation, resultBytes, content);
  };
}
