/** After faults that no replica is killed by, replicas hold what they held before: descriptors, timers, heap. */

import { setTimeout as delay } from 'node:timers/promises';
import { derivedSeed, seededRandom } from '../../../src/simulate/random.js';
import { Callers } from '../callers.js';
import { ChaosCluster } from '../cluster.js';
import { planFault, runFault, type FaultName } from '../faults.js';
import type { Holdings } from '../replica.js';
import { summary, type Scenario } from '../scenario.js';
import { settle } from '../settle.js';
import { table } from '../table.js';

const timeoutMs = 5_000;
/** Longer than any connection that is kept for reuse is kept. */
const idleMs = 35_000;
const roundFaults: readonly FaultName[] = [
  ...(['agents killed', 'agents cut off', 'agents half-open', 'replica frozen beyond its lease'] as const),
  ...(['agents cut off unnoticed', 'agents frozen', 'Redis cut off', 'database half-open'] as const),
  ...(['Redis killed', 'Redis half-open', 'peers cut off', 'peers half-open', 'database fails over'] as const),
];
const allowed = { descriptors: 6, timers: 6, heapBytes: 6 * 1024 * 1024 };

export const leaks: Scenario = {
  name: 'leaks',
  description: 'rounds of faults under load: descriptors, timers and heap of the replicas return to where they were',
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
    let round = 0;
    const run = async (faults: readonly FaultName[]): Promise<Map<string, Holdings>> => {
      round += 1;
      const callers = new Callers({ cluster, concurrency: 10, seed: seed + round, timeoutMs, pauseMs: 30 });
      callers.start();
      for (const name of faults) {
        const fault = planFault(name, cluster, random);
        log(`round ${round}, ${name}: ${fault.target} ${fault.detail}`);
        await runFault(fault, cluster);
        await delay(1_000);
      }
      await callers.stop();
      outcomes.push(...callers.outcomes);
      await cluster.heal();
      await delay(idleMs);
      return new Map(
        await Promise.all(cluster.replicas.map(async (replica) => [replica.id, await replica.holdings()] as const)),
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
          ['descriptors', was.descriptors, is.descriptors, allowed.descriptors],
          ['timers', was.resources['Timeout'] ?? 0, is.resources['Timeout'] ?? 0, allowed.timers],
          ['heap bytes', was.heapBytes, is.heapBytes, allowed.heapBytes],
        ] as const;
        for (const [name, from, to, more] of values)
          if (to > from + more) failures.push(`${id}: ${name} grew from ${from} to ${to}`);
        return values.map(([name, from, to]) => [`${id} ${name}`, from, to]);
      });
      const report = [table([['', 'first round', 'third round'], ...rows]), summary({ outcomes })].join('\n');
      return { violations: verdict.violations, failures, report, directory: cluster.directory, verdict };
    } finally {
      await cluster.stop();
    }
  },
};
