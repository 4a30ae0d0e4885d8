/** After faults that no replica is killed by, replicas hold what they held before: streams, sockets, timers, heap. */

import { setTimeout as delay } from 'node:timers/promises';
import { derivedSeed, seededRandom } from '../../../src/simulate/random.js';
import { ApiCallers } from '../api-callers.js';
import { Callers } from '../callers.js';
import { ChaosCluster } from '../cluster.js';
import { planFault, runFault, type FaultName } from '../faults.js';
import { readMetrics } from '../final-state.js';
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
const allowed = { descriptors: 6, timers: 6, heapBytes: 6 * 1024 * 1024 };

/** Of the Kubernetes API: streams of agents, and requests. */
interface OpenStreams {
  readonly streams: number;
}

async function holdingsOf(replica: ChaosReplica): Promise<Holdings & OpenStreams> {
  const metrics = await readMetrics(replica.restUrl);
  const names = ['request', 'watch', 'upgrade'].map((kind) => `agent_gateway_kubernetes_requests_open{kind="${kind}"}`);
  const values = ['agent_gateway_kubernetes_tunnels', ...names].map((name) => metrics(name) || 0);
  return { ...(await replica.holdings()), streams: values.reduce((sum, value) => sum + value, 0) };
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
        await Promise.all(cluster.replicas.map(async (replica) => [replica.id, await holdingsOf(replica)] as const)),
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
      const rows = [...before].flatMap(([id, was]) => {
        const is = after.get(id) ?? was;
        const values = [
          ['streams', 0, is.streams, 0],
          ['descriptors', was.descriptors, is.descriptors, allowed.descriptors],
          ['timers', was.resources['Timeout'] ?? 0, is.resources['Timeout'] ?? 0, allowed.timers],
          ['heap bytes', was.heapBytes, is.heapBytes, allowed.heapBytes],
        ] as const;
        for (const [name, from, to, more] of values)
          if (to > from + more) failures.push(`${id}: ${name} grew from ${from} to ${to}`);
        return values.map(([name, from, to]) => [`${id} ${name}`, from, to]);
      });
      const report = [
        table([['', 'first round', 'third round'], ...rows]),
        summary({ outcomes }),
        ...apiSummaries,
      ].join('\n');
      return { violations: verdict.violations, failures, report, directory: cluster.directory, verdict };
    } finally {
      await cluster.stop();
    }
  },
};
