/** Every replica in turn is told to stop and started again, under constant load from callers that never try twice. */

import { setTimeout as delay } from 'node:timers/promises';
import { Callers, type Outcome } from '../callers.js';
import { ChaosCluster } from '../cluster.js';
import { monotonicMs } from '../history.js';
import { Readiness } from '../readiness.js';
import { succeeded, summary, type Scenario } from '../scenario.js';
import { settle } from '../settle.js';
import { describeSpread, evenSpread, isEven, readSpread } from '../spread.js';
import { quantile, table } from '../table.js';

const timeoutMs = 10_000;
const replicas = 3;
const balancedWithinMs = 60_000;
const maximumToMean = 1.5;
const slowdown = 5;

export const rollingRestart: Scenario = {
  name: 'rolling-restart',
  description: '3 replicas, 300 agents, constant load: each replica in turn is stopped by SIGTERM and started again',
  run: async ({ seed, scale, build, keepFiles, log }) => {
    const agents = Math.ceil(300 * scale);
    const cluster = await ChaosCluster.start({
      seed,
      build,
      keepFiles,
      replicas,
      direct: true,
      groups: 3,
      accounts: agents,
      accountsPerAgent: 1,
      perAccount: 1,
      latencyMs: 20,
      slowMs: 200,
      settings: {
        'kubesvc.drain.endpointRemovalMs': 1_000,
        'kubesvc.drain.reconnectSpreadMs': Math.round(5_000 * Math.max(scale, 0.2)),
      },
    });
    const readiness = new Readiness(cluster);
    try {
      const targets = (): typeof readiness.ready => readiness.ready;
      const callers = new Callers({ cluster, concurrency: 12, seed, timeoutMs, pauseMs: 100, attempts: 1, targets });
      const failures: string[] = [];
      log(`before: ${describeSpread(await readSpread(cluster))}`);
      callers.start();
      // What is new and cold is not measured.
      await delay(5_000 * Math.max(scale, 0.2));
      const before = monotonicMs();
      await delay(15_000 * Math.max(scale, 0.2));
      const during = monotonicMs();
      for (const replica of cluster.replicas) {
        log(`${replica.id} is stopped`);
        const code = await replica.process.terminate(40_000);
        if (code !== 0) failures.push(`${replica.id} ended with ${String(code)}`);
        replica.start();
        await replica.ready(60_000);
        log(`${replica.id} is back: ${describeSpread(await readSpread(cluster))}`);
      }
      const after = monotonicMs();
      const spread = await evenSpread(cluster, maximumToMean, balancedWithinMs);
      await callers.stop();
      const verdict = await settle(cluster, { timeoutMs });

      const phase = (from: number, to: number): Outcome[] => callers.outcomes.filter(({ t }) => t >= from && t < to);
      const phases = { before: phase(before, during), during: phase(during, after), after: phase(after, Infinity) };
      const [calm, rough] = [p99(phases.before), p99(phases.during)];
      const failed = callers.outcomes.filter((outcome) => !succeeded(outcome)).length;
      if (failed > 0) failures.push(`${failed} operations failed`);
      if (rough > slowdown * calm)
        failures.push(`p99 was ${rough.toFixed(0)} ms during the restart, ${calm.toFixed(0)} ms before`);
      if (!isEven(spread, maximumToMean)) failures.push(`after the restart: ${describeSpread(spread)}`);
      const report = [
        table([
          ['', 'operations', 'per second', 'failed', 'p50 ms', 'p99 ms', 'longest ms'],
          row('before', phases.before, during - before),
          row('restart', phases.during, after - during),
          row('after', phases.after, spread.tookMs),
        ]),
        '',
        table([
          ['', 'agents', 'of the mean'],
          ...Object.entries(spread.agents).map(([id, count]) => [id, count, ((count * replicas) / agents).toFixed(2)]),
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

const times = (outcomes: readonly Outcome[]): number[] => outcomes.map(({ tookMs }) => tookMs);
const p99 = (outcomes: readonly Outcome[]): number => quantile(times(outcomes), 0.99);

function row(name: string, outcomes: readonly Outcome[], ms: number): (string | number)[] {
  const failed = outcomes.filter((outcome) => !succeeded(outcome)).length;
  const took = times(outcomes);
  const perSecond = outcomes.length / (ms / 1_000);
  return [name, outcomes.length, perSecond, failed, quantile(took, 0.5), p99(outcomes), Math.max(0, ...took)];
}
