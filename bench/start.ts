/** How long a replica takes from its start until it is ready, and where that time goes. */

import { createDatabase, startEmbedded, startReplicas, type ServerUnderTest } from './servers.js';
import { table, type Target } from './report.js';
import { median } from './throughput.js';

export interface StartReport {
  /** What it was started with. */
  readonly name: string;
  readonly starts: number;
  /** From the start of the process until it said that it is ready, in ms: median. */
  readonly readyMs: number;
  readonly limitMs: number;
  readonly steps: readonly StartStep[];
}

interface StartStep {
  readonly step: string;
  /** Since the start of the process, in ms: median. */
  readonly at: number;
}

interface StartSteps {
  /** Unix ms. */
  readonly startedAt: number;
  /** Since then, in ms. */
  readonly steps: readonly StartStep[];
}

/** @param url of a MariaDB server */
export async function measureStart(url: string, redisUrl: string, starts: number): Promise<StartReport[]> {
  const database = await createDatabase(url, 'bench_start');
  const external = async (): Promise<ServerUnderTest> => {
    const [replica] = await startReplicas(1, database, redisUrl);
    if (replica === undefined) throw new Error('no replica was started');
    return replica;
  };
  // The first one makes the schema.
  const first = await external();
  await first.child.stop();
  return [
    await measure('MariaDB with its schema, Redis', external, starts, 1_000),
    await measure('embedded database in memory', startEmbedded, starts, 2_500),
  ];
}

async function measure(
  name: string,
  start: () => Promise<ServerUnderTest>,
  starts: number,
  limitMs: number,
): Promise<StartReport> {
  const ready: number[] = [];
  const reached = new Map<string, number[]>();
  for (let index = 0; index < starts; index += 1) {
    const { child, spawnedAt, readyMs } = await start();
    const { startedAt, steps } = await child.call<StartSteps>('startSteps');
    await child.stop();
    ready.push(readyMs);
    for (const { step, at } of steps) {
      const times = reached.get(step) ?? [];
      times.push(startedAt - spawnedAt + at);
      reached.set(step, times);
    }
  }
  const steps = [...reached].map(([step, times]) => ({ step, at: median(times) }));
  return { name, starts, readyMs: median(ready), limitMs, steps };
}

export function startTables(reports: readonly StartReport[]): string {
  return reports
    .map(({ name, starts, readyMs, steps }) => {
      const all = [...steps, { step: 'ready, as a probe sees it', at: readyMs }];
      const rows = all.map(({ step, at }, index) => [step, (at - (all[index - 1]?.at ?? 0)).toFixed(0), at.toFixed(0)]);
      return table([[`start, ${name}: medians of ${String(starts)}`, 'ms', 'at ms'], ...rows], 1);
    })
    .join('\n\n');
}

export function startTargets(reports: readonly StartReport[]): readonly Target[] {
  return reports.map(({ name, readyMs, limitMs }) => ({
    name: `ready after the start, ${name}`,
    value: readyMs / 1_000,
    limit: limitMs / 1_000,
    least: false,
    unit: 's',
    digits: 2,
  }));
}
