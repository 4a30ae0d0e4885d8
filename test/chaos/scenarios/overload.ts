/** Twice of what two replicas can do: the rest is refused in words, memory stays flat, and afterwards all is as before. */

import { setTimeout as delay } from 'node:timers/promises';
import { ChaosCluster } from '../cluster.js';
import { OpenLoad } from '../open-load.js';
import type { ChaosReplica } from '../replica.js';
import type { Scenario } from '../scenario.js';
import { settle } from '../settle.js';
import { table } from '../table.js';

const timeoutMs = 5_000;
/** Longer than any connection that is kept for reuse is kept. */
const idleMs = 35_000;
const sampleMs = 500;
/** Of descriptors: 20 is what the pool of the database holds at most, and keeps for a minute. */
const allowed = { descriptors: 6 + 20, timers: 6, heapBytes: 12 * 1024 * 1024, growth: 1.25 };
const total = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((sum, count) => sum + count);
const mebibytes = (bytes: number): number => Math.round(bytes / (1 << 20));

export const overload: Scenario = {
  name: 'overload',
  description: 'twice the sustainable load: 429 and 503 with Retry-After, flat memory, and afterwards all is as before',
  run: async ({ seed, scale, build, keepFiles, log }) => {
    const cluster = await ChaosCluster.start({
      ...{ seed, build, keepFiles, replicas: 2, direct: true },
      ...{ groups: 2, accounts: 20, accountsPerAgent: 1, perAccount: 1, latencyMs: 20, slowMs: 100 },
      settings: {
        'kubesvc.operations.maxPending': 200,
        'kubesvc.operations.maxPendingPerAgent': 50,
        'kubesvc.operations.agentQueueLimit': 20,
      },
    });
    try {
      // Far more than can be done: what is done of it can be sustained. It warms everything up as well.
      const calibrationMs = Math.max(4_000, 10_000 * scale);
      const calibration = new OpenLoad({ cluster, perSecond: 3_000, seed: seed + 1, timeoutMs });
      await calibration.run(calibrationMs);
      const sustained = (calibration.statuses.get(200) ?? 0) / (calibrationMs / 1_000);
      await delay(idleMs);
      const before = await Promise.all(cluster.replicas.map((replica) => replica.holdings(cluster.ports)));

      const durationMs = Math.max(10_000, 40_000 * scale);
      log(`${sustained.toFixed(0)} operations a second are sustained; ${(2 * sustained).toFixed(0)} are given now`);
      const load = new OpenLoad({ cluster, perSecond: 2 * sustained, seed, timeoutMs });
      const resident = await sampled(cluster.replicas, load.run(durationMs));
      await delay(idleMs);
      const after = await Promise.all(cluster.replicas.map((replica) => replica.holdings(cluster.ports)));
      // Callers share the machine that is overloaded, and see answers late.
      const verdict = await settle(cluster, { timeoutMs, callerGraceMs: timeoutMs });

      const failures: string[] = [];
      const rows = cluster.replicas.flatMap(({ id }, index) => {
        const [was, is, all] = [before[index]!, after[index]!, resident[index]!];
        // What fills up at first stays; what is unbounded goes on growing.
        const half = Math.ceil(all.length / 2);
        const [early, late] = [Math.max(...all.slice(0, half)), Math.max(...all.slice(half))];
        if (late > early * allowed.growth)
          failures.push(`${id}: resident memory grew from ${mebibytes(early)} to ${mebibytes(late)} MiB`);
        const timers = [was.resources['Timeout'] ?? 0, is.resources['Timeout'] ?? 0] as const;
        if (is.heapBytes > was.heapBytes + allowed.heapBytes) failures.push(`${id}: heap did not come back`);
        const descriptors = [total(was.descriptors), total(is.descriptors)] as const;
        if (descriptors[1] > descriptors[0] + allowed.descriptors)
          failures.push(`${id}: descriptors did not come back`);
        if (timers[1] > timers[0] + allowed.timers) failures.push(`${id}: timers did not come back`);
        return [
          [`${id} heap, MiB`, mebibytes(was.heapBytes), '', '', mebibytes(is.heapBytes)],
          [`${id} resident, MiB`, mebibytes(all[0]!), mebibytes(early), mebibytes(late), mebibytes(all.at(-1)!)],
          [`${id} descriptors`, descriptors[0], '', '', descriptors[1]],
          [`${id} timers`, timers[0], '', '', timers[1]],
        ];
      });
      const unexpected = [...load.statuses].filter(([status]) => ![200, 429, 503, 504].includes(status));
      for (const [status, count] of unexpected) failures.push(`${count} answers ${status}`);
      if (load.withoutRetryAfter > 0) failures.push(`${load.withoutRetryAfter} refusals without Retry-After`);
      if ((load.statuses.get(429) ?? 0) + (load.statuses.get(503) ?? 0) === 0) failures.push('nothing was refused');
      const listed = [...load.statuses].sort().map(([status, count]) => `${count} × ${status}`);
      const report = [
        table([['', 'before', 'first half', 'second half', 'after'], ...rows]),
        `${sustained.toFixed(0)} operations a second are sustained; of ${load.sent} given in ${durationMs / 1_000} s: ` +
          `${listed.join(', ')}; ${load.notSent} not given for want of callers`,
      ].join('\n');
      return { violations: verdict.violations, failures, report, directory: cluster.directory, verdict };
    } finally {
      await cluster.stop();
    }
  },
};

/** Resident memory of each replica, from before the work begins until it has ended, in bytes. */
async function sampled(replicas: readonly ChaosReplica[], work: Promise<void>): Promise<number[][]> {
  const samples: number[][] = replicas.map(() => []);
  let working = true;
  const ended = work.finally(() => (working = false));
  while (working) {
    for (const [index, { process }] of replicas.entries()) samples[index]?.push(await process.residentBytes());
    await Promise.race([ended, delay(sampleMs)]);
  }
  await ended;
  return samples;
}
