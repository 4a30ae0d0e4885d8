/** After faults that no replica is killed by, replicas hold what they held before: streams, sockets, timers, heap. */

import { setTimeout as delay } from 'node:timers/promises';
import { derivedSeed, seededRandom } from '../../../src/simulate/random.js';
import { ApiCallers } from '../api-callers.js';
import { Callers } from '../callers.js';
import { ChaosCluster } from '../cluster.js';
import { planFault, runFault, type FaultName } from '../faults.js';
import { readMetrics } from '../final-state.js';
import { otherKind } from '../open-descriptors.js';
import type { ChaosReplica, Holdings } from '../replica.js';
import { summary, type Scenario } from '../scenario.js';
import { settle } from '../settle.js';
import { table } from '../table.js';

const timeoutMs = 5_000;
/** Longer than any connection that is kept for reuse is kept, and an agent's stream without requests. */
const idleMs = 65_000;
const roundFaults: readonly FaultName[] = [
  ...(['agents killed', 'agents cut off', 'agents half-open', 'replica frozen beyond its lease'] as const),
  ...(['agents cut off unnoticed', 'agents frozen', 'Redis cut off', 'database half-open'] as const),
  ...(['Redis killed', 'Redis half-open', 'peers cut off', 'peers half-open', 'database fails over'] as const),
];
/** Growth: of the descriptors of one kind over all replicas, between which agents move; else of each replica. */
const allowed = { descriptors: 6, timers: 6, heapBytes: 6 * 1024 * 1024 };

/** Of the Kubernetes API: streams of agents, and requests. */
interface OpenStreams {
  readonly streams: number;
}

async function holdingsOf(replica: ChaosReplica, { ports }: ChaosCluster): Promise<Holdings & OpenStreams> {
  const metrics = await readMetrics(replica.restUrl);
  const names = ['request', 'watch', 'upgrade'].map((kind) => `agent_gateway_kubernetes_requests_open{kind="${kind}"}`);
  const values = ['agent_gateway_kubernetes_tunnels', ...names].map((name) => metrics(name) || 0);
  return { ...(await replica.holdings(ports)), streams: values.reduce((sum, value) => sum + value, 0) };
}

/** Descriptors of all replicas. */
function openByKind(holdings: ReadonlyMap<string, Holdings>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { descriptors } of holdings.values())
    for (const [kind, count] of descriptors) counts.set(kind, (counts.get(kind) ?? 0) + count);
  return counts;
}

export const leaks: Scenario = {
  name: 'leaks',
  description:
    'rounds of faults under load: streams, sockets, timers and heap of the replicas return to where they were',
  run: async ({ seed, scale, build, keepFiles, log }) => {
    const random = seededRandom(derivedSeed(seed, 1));
    const cluster = await ChaosCluster.start({
      seed,
      build,
      keepFiles,
      replicas: 3,
      groups: 2,
      accounts: 12,
      accountsPerAgent: 1,
      perAccount: 2,
    });
    const outcomes: Callers['outcomes'] = [];
    const apiSummaries: string[] = [];
    let round = 0;
    const run = async (faults: readonly FaultName[]): Promise<Map<string, Holdings & OpenStreams>> => {
      round += 1;
      const callers = new Callers({ cluster, concurrency: 10, seed: seed + round, timeoutMs, pauseMs: 30 });
      const targets = () => cluster.running;
      const apiCallers = new ApiCallers({ cluster, concurrency: 20, seed: seed + round, targets, pauseMs: 30 });
      callers.start();
      apiCallers.start();
      for (const name of faults) {
        const fault = planFault(name, cluster, random);
        log(`round ${round}, ${name}: ${fault.target} ${fault.detail}`);
        await runFault(fault, cluster);
        await delay(1_000);
      }
      await Promise.all([callers.stop(), apiCallers.stop()]);
      outcomes.push(...callers.outcomes);
      apiSummaries.push(apiCallers.summary);
      await cluster.heal();
      await delay(idleMs);
      return new Map(
        await Promise.all(
          cluster.replicas.map(async (replica) => [replica.id, await holdingsOf(replica, cluster)] as const),
        ),
      );
    };
    try {
      const faults = roundFaults.slice(0, Math.ceil(roundFaults.length * scale));
      // The first round fills pools and caches, which is no leak.
      const before = await run(faults);
      await run(faults);
      const after = await run(faults);
      const verdict = await settle(cluster, { timeoutMs });
      const failures: string[] = [];
      const rows: (readonly [name: string, was: number, is: number, more: number])[] = [...before].flatMap(
        ([id, was]) => {
          const is = after.get(id) ?? was;
          const values = [
            ['streams', 0, is.streams, 0],
            ['timers', was.resources['Timeout'] ?? 0, is.resources['Timeout'] ?? 0, allowed.timers],
            ['heap bytes', was.heapBytes, is.heapBytes, allowed.heapBytes],
          ] as const;
          return values.map(([name, ...numbers]) => [`${id} ${name}`, ...numbers] as const);
        },
      );
      const [openBefore, openAfter] = [openByKind(before), openByKind(after)];
      for (const kind of new Set([...cluster.ports.values(), otherKind])) {
        // Those to other replicas are closed when they are not used.
        const was = kind === 'peers' ? 0 : (openBefore.get(kind) ?? 0);
        rows.push([`descriptors: ${kind}`, was, openAfter.get(kind) ?? 0, allowed.descriptors]);
      }
      for (const [name, was, is, more] of rows) if (is > was + more) failures.push(`${name} grew from ${was} to ${is}`);
      const report = [
        table([['', 'first round', 'third round', 'more allowed'], ...rows]),
        summary({ outcomes }),
        ...apiSummaries,
      ].join('\n');
      return { violations: verdict.violations, failures, report, directory: cluster.directory, verdict };
    } finally {
      await cluster.stop();
    }
  },
};
