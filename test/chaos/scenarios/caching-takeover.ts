/** How soon another agent caches when the one that does leaves, dies, falls silent or is cut off; never both. */

import { ChaosCluster } from '../cluster.js';
import { waitFor } from '../../wait.js';
import { monotonicMs, readHistory, type HistoryEvent } from '../history.js';
import type { Scenario } from '../scenario.js';
import { settle } from '../settle.js';
import { quantile, table } from '../table.js';

const accounts = 12;
const readyTimeoutMs = 60_000;

interface Step {
  readonly name: string;
  /** From the moment that the agents are gone, in ms. */
  readonly limitMs: number;
  /** @returns replicas that are cut off from their agents; one of these that finds another in time caches on there */
  readonly breaks: (cluster: ChaosCluster) => readonly string[] | Promise<readonly string[]>;
  readonly heals: (cluster: ChaosCluster) => Promise<void>;
}

const restart =
  (index: number) =>
  async ({ groups }: ChaosCluster): Promise<void> => {
    groups[index]!.start();
    await groups[index]!.ready(readyTimeoutMs);
  };

const steps: readonly Step[] = [
  {
    name: 'agents are killed',
    limitMs: 5_000,
    breaks: async ({ groups }) => {
      await groups[0]!.process.kill();
      return [];
    },
    heals: restart(0),
  },
  {
    name: 'agents leave in order',
    limitMs: 1_000,
    breaks: async ({ groups }) => {
      await groups[1]!.process.terminate(10_000);
      return [];
    },
    heals: restart(1),
  },
  {
    // They have to be found first: in less than 10 s.
    name: 'agents fall silent',
    limitMs: 10_000,
    breaks: ({ groups }) => {
      groups[0]!.process.freeze();
      return [];
    },
    heals: async ({ groups }) => {
      groups[0]!.process.thaw();
      await groups[0]!.ready(readyTimeoutMs);
    },
  },
  {
    name: 'agents are cut off unnoticed',
    limitMs: 5_000,
    breaks: ({ replicas }) => {
      const cut = replicas.slice(0, 2);
      for (const { proxies } of cut) proxies.agents.cutUnnoticed();
      return cut.map(({ id }) => id);
    },
    heals: async (cluster) => {
      for (const { proxies } of cluster.replicas) await proxies.agents.heal();
      await cluster.agentsReady();
    },
  },
];

/** Whether the process of the agent is killed, ended or frozen. */
function stopped({ groups }: ChaosCluster, agent: string): boolean {
  const group = groups.find(({ agents }) => agents.some(({ id }) => id === agent));
  return group !== undefined && (!group.process.running || group.process.frozen);
}

type Caching = Extract<HistoryEvent, { type: 'caching' }>;

const cachingOf = (directory: string): Caching[] =>
  readHistory(directory).flatMap((event) => (event.type === 'caching' ? [event] : []));

/** Who caches each account, by the last that agents said. */
function cachers(events: readonly Caching[]): Map<string, string> {
  const result = new Map<string, string>();
  for (const { account, agent, on } of events) {
    if (on) result.set(account, agent);
    else if (result.get(account) === agent) result.delete(account);
  }
  return result;
}

export const cachingTakeover: Scenario = {
  name: 'caching-takeover',
  description: 'the caching agents of 12 accounts leave, die, fall silent, are cut off: others take over within 5 s',
  run: async ({ seed, build, keepFiles, log }) => {
    const cluster = await ChaosCluster.start({
      ...{ seed, build, keepFiles, replicas: 3 },
      ...{ groups: 2, accounts, accountsPerAgent: 1, perAccount: 2 },
    });
    try {
      const rows: (string | number)[][] = [];
      const failures: string[] = [];
      for (const { name, limitMs, breaks, heals } of steps) {
        await waitFor(() => cachers(cachingOf(cluster.directory)).size === accounts);
        const before = cachingOf(cluster.directory);
        const was = cachers(before);
        const where = places(readHistory(cluster.directory));
        log(name);
        const from = monotonicMs();
        const cut = new Set(await breaks(cluster));
        const begun = (): Map<string, number> => {
          const taken = new Map<string, number>();
          for (const { account, on, t } of cachingOf(cluster.directory).slice(before.length))
            if (on) taken.set(account, taken.get(account) ?? t - from);
          return taken;
        };
        const lost = (agent: string): boolean => stopped(cluster, agent) || cut.has(where.get(agent) ?? '');
        const gone = new Set([...was].filter(([, agent]) => lost(agent)).map(([account]) => account));
        await waitFor(() => [...gone].every((account) => begun().has(account)), {
          ...{ timeoutMs: 20_000, intervalMs: 50, description: `others to cache after: ${name}` },
        }).catch(() => undefined);
        const taken = begun();
        const times = [...gone].map((account) => taken.get(account) ?? Number.POSITIVE_INFINITY);
        rows.push([name, gone.size, quantile(times, 0.5), Math.max(0, ...times), limitMs]);
        if (Math.max(0, ...times) > limitMs)
          failures.push(`${name}: taken over after ${Math.max(...times).toFixed(0)} ms`);
        await heals(cluster);
      }
      const verdict = await settle(cluster, { timeoutMs: 1_000 });
      const report = table([['', 'accounts', 'median ms', 'longest ms', 'limit ms'], ...rows]);
      return { violations: verdict.violations, failures, report, directory: cluster.directory, verdict };
    } finally {
      await cluster.stop();
    }
  },
};

/** Where each agent is, by its own word. */
function places(events: readonly HistoryEvent[]): Map<string, string | null> {
  return new Map(
    events.flatMap((event) => (event.type === 'connected' ? [[event.agent, event.replica] as const] : [])),
  );
}
