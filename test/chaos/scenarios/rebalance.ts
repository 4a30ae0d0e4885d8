/** Two replicas become four under load: agents spread over them, and no operation notices. */

import { setTimeout as delay } from 'node:timers/promises';
import { Callers } from '../callers.js';
import { ChaosCluster } from '../cluster.js';
import { Readiness } from '../readiness.js';
import { succeeded, summary, type Scenario } from '../scenario.js';
import { settle } from '../settle.js';
import { describeSpread, evenSpread, isEven, readSpread } from '../spread.js';
import { table } from '../table.js';

const timeoutMs = 10_000;
const maximumToMean = 1.5;
const withinMs = 60_000;

export const rebalance: Scenario = {
  name: 'rebalance',
  description: '2 replicas with 200 agents become 4: agents spread within a minute, and no operation is cut',
  run: async ({ seed, scale, build, keepFiles, log }) => {
    const cluster = await ChaosCluster.start({
      seed,
      build,
      keepFiles,
      replicas: 2,
      spareReplicas: 2,
      direct: true,
      groups: 2,
      accounts: Math.ceil(200 * scale),
      accountsPerAgent: 1,
      perAccount: 1,
      slowMs: 3_000,
    });
    const readiness = new Readiness(cluster);
    try {
      const before = await readSpread(cluster);
      log(`before: ${describeSpread(before)}`);
      const targets = (): typeof readiness.ready => readiness.ready;
      const callers = new Callers({ cluster, concurrency: 12, seed, timeoutMs, pauseMs: 100, attempts: 1, targets });
      callers.start();
      await delay(3_000);
      await cluster.startSpares();
      const spread = await evenSpread(cluster, maximumToMean, withinMs);
      // What was asked to move at the end moves under load, too.
      await delay(3_000);
      await callers.stop();
      const verdict = await settle(cluster, { timeoutMs });
      const failures: string[] = [];
      const failed = callers.outcomes.filter((outcome) => !succeeded(outcome)).length;
      if (failed > 0) failures.push(`${failed} operations failed`);
      if (!isEven(spread, maximumToMean)) failures.push(`after ${withinMs / 1_000} s: ${describeSpread(spread)}`);
      const report = [
        table([
          ['', 'agents before', 'agents after'],
          ...Object.entries(spread.agents).map(([id, count]) => [id, before.agents[id] ?? 0, count]),
        ]),
        `balanced within ${(spread.tookMs / 1_000).toFixed(1)} s; ${summary(callers)}`,
      ].join('\n');
      return { violations: verdict.violations, failures, report, directory: cluster.directory, verdict };
    } finally {
      readiness.stop();
      await cluster.stop();
    }
  },
};
