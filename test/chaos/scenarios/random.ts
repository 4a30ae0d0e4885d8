/** Kills, freezes and broken connections at random, several at a time, under load. */

import { setTimeout as delay } from 'node:timers/promises';
import { derivedSeed, pick, seededRandom } from '../../../src/simulate/random.js';
import { waitFor } from '../../wait.js';
import { ApiCallers } from '../api-callers.js';
import { Callers } from '../callers.js';
import { ChaosCluster } from '../cluster.js';
import { faultNames, planFault, runFault, type FaultName } from '../faults.js';
import { Readiness } from '../readiness.js';
import { summary, type Scenario, type ScenarioContext, type ScenarioResult } from '../scenario.js';
import { settle } from '../settle.js';

const timeoutMs = 8_000;

export interface FaultRunOptions {
  readonly faults: readonly FaultName[];
  /** How many are injected. */
  readonly count: number;
  /** How many at a time at most. */
  readonly together: number;
  /** And as many requests of the Kubernetes API. */
  readonly operations: number;
  readonly skewMs: readonly number[];
  readonly duplicates: number;
  readonly pauseMs: number;
}

/** Runs callers beside a sequence of faults that the seed alone decides, until both are done; then checks. */
export async function runFaults(context: ScenarioContext, options: FaultRunOptions): Promise<ScenarioResult> {
  const { seed, build, log, keepFiles } = context;
  const random = seededRandom(derivedSeed(seed, 1));
  const cluster = await ChaosCluster.start({
    seed,
    build,
    keepFiles,
    replicas: 3,
    groups: 3,
    accounts: 12,
    perAccount: 2,
    accountsPerAgent: 2,
    duplicates: options.duplicates,
    skewMs: options.skewMs,
  });
  const readiness = new Readiness(cluster);
  try {
    const targets = (): typeof readiness.ready => readiness.ready;
    const callers = new Callers({
      cluster,
      concurrency: 40,
      seed: derivedSeed(seed, 2),
      timeoutMs,
      pauseMs: 250,
      targets,
    });
    const apiCallers = new ApiCallers({ cluster, concurrency: 12, seed: derivedSeed(seed, 3), pauseMs: 60, targets });
    const plans = Array.from({ length: options.count }, () => {
      const fault = planFault(pick(context.faults ?? options.faults, random), cluster, random);
      return { fault, pauseMs: random() * options.pauseMs };
    });
    callers.start();
    apiCallers.start();
    const waiting = [...plans];
    const busy = new Set<string>();
    let failed = false;
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined && !failed; next = waiting.shift()) {
        const { fault, pauseMs } = next;
        const { target } = fault;
        // Looked for and taken in one go: two faults of one target at a time would undo each other.
        await waitFor(() => !busy.has(target) && busy.add(target), { timeoutMs: 120_000 });
        log(
          `${String(options.count - waiting.length).padStart(3)}/${options.count} ${fault.name}: ${target} ${fault.detail} (after ${callers.count} operations)`,
        );
        await runFault(fault, cluster).catch((error: unknown) => {
          failed = true;
          throw error;
        });
        busy.delete(target);
        await delay(pauseMs);
      }
    };
    await Promise.all(Array.from({ length: options.together }, work));
    await waitFor(() => callers.count >= options.operations && apiCallers.count >= options.operations, {
      timeoutMs: 600_000,
      intervalMs: 100,
    });
    await Promise.all([callers.stop(), apiCallers.stop()]);
    const verdict = await settle(cluster, { timeoutMs });
    return {
      violations: verdict.violations,
      failures: [],
      report: `${summary(callers)}\n${apiCallers.summary}`,
      directory: cluster.directory,
      verdict,
    };
  } finally {
    readiness.stop();
    await cluster.stop();
  }
}

export const randomScenario: Scenario = {
  name: 'random',
  description:
    '20 random kills, freezes and cuts over 10,000 operations and as many requests of the Kubernetes API on three replicas with clocks a minute apart',
  run: (context) =>
    runFaults(context, {
      faults: faultNames,
      count: Math.ceil(20 * context.scale),
      together: 2,
      operations: Math.ceil(10_000 * context.scale),
      skewMs: [0, 60_000, -60_000],
      duplicates: 0.1,
      pauseMs: 4_000,
    }),
};
