/** The end of a run: everything is healed, comes to rest, and is looked at. */

import { waitFor } from '../wait.js';
import type { Violation } from './violation.js';
import { check, type CheckOptions } from './checker.js';
import type { ChaosCluster } from './cluster.js';
import { pendingOperations, readFinalState, readMetrics, type FinalState } from './final-state.js';
import { readHistory, type HistoryEvent } from './history.js';

export interface SettleOptions extends CheckOptions {
  /** Time of the longest operation, in ms: what was taken last ends by then. */
  readonly timeoutMs: number;
  /** How long beyond that an operation may lack its outcome (a sweep records it), in ms; default 20 s. */
  readonly graceMs?: number;
  /** How long what is at rest may take to become equal everywhere, in ms; default 20 s. */
  readonly restMs?: number;
}

export interface Verdict {
  readonly violations: readonly Violation[];
  readonly events: readonly HistoryEvent[];
  readonly final: FinalState;
}

/** Heals the cluster, waits until it is at rest, and checks the whole run. Callers must have stopped. */
export async function settle(cluster: ChaosCluster, options: SettleOptions): Promise<Verdict> {
  const { timeoutMs, graceMs = 20_000, restMs = 20_000 } = options;
  await cluster.heal();
  // Whoever is not through by the deadline is found by the checker, which says it better.
  await waitFor(async () => (await pendingOperations(cluster.databaseUrl)).length === 0, {
    timeoutMs: timeoutMs + graceMs,
    intervalMs: 250,
  }).catch(() => undefined);
  const sources = {
    databaseUrl: cluster.databaseUrl,
    redisUrl: cluster.redis.url,
    redisPrefix: 'chaos:',
    replicas: cluster.running,
  };
  let final = await readFinalState(sources);
  let events = readHistory(cluster.directory);
  let violations = check(events, final, options);
  await waitFor(
    async () => {
      final = await readFinalState(sources);
      events = readHistory(cluster.directory);
      violations = check(events, final, options);
      return violations.every(({ t }) => t !== undefined);
    },
    { timeoutMs: restMs, intervalMs: 500 },
  ).catch(() => undefined);
  const replicas = await Promise.all(
    final.replicas.map(async (state) => ({ ...state, ...(await probe(cluster, state.id)) })),
  );
  final = { ...final, replicas };
  return { violations: check(events, final, options), events, final };
}

/** Reads from every account through one replica: its own mirror must name the owner at once. */
async function probe(cluster: ChaosCluster, id: string): Promise<{ notOwner: number; unreachable: string[] }> {
  const replica = cluster.replicas.find((candidate) => candidate.id === id);
  if (replica === undefined) throw new Error(`no replica ${id}`);
  const misses = async (): Promise<number> => {
    const value = (await readMetrics(replica.restUrl))('agent_gateway_forwards_total{outcome="not-owner"}');
    return Number.isNaN(value) ? 0 : value;
  };
  const before = await misses();
  const unreachable: string[] = [];
  for (const account of cluster.accounts) {
    const response = await fetch(`${replica.restUrl}/armory/agent/operations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=10' },
      body: JSON.stringify({ operation: { account, timeoutMs: 8_000, get: { object: { kind: 'Pod', name: 'web' } } } }),
      signal: AbortSignal.timeout(20_000),
    });
    const text = await response.text();
    if (response.status !== 200) unreachable.push(`${account}: ${response.status} ${text.slice(0, 200)}`);
  }
  return { notOwner: (await misses()) - before, unreachable };
}
