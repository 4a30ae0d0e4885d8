/** What idle agents cost: memory of each, and CPU time of the replica while nothing happens; beside grpc-js alone. */

import { setTimeout as delay } from 'node:timers/promises';
import { Child } from './child.js';
import { settled } from './memory.js';
import { table, type Target } from './report.js';
import { createDatabase, startBare, startReplicas, type ServerUnderTest } from './servers.js';

export interface RestAmounts {
  readonly agents: readonly number[];
  /** How long they are left alone, in ms. */
  readonly restMs: number;
}

export interface RestReport {
  readonly server: 'replica' | 'bare';
  readonly agents: number;
  readonly residentBytesPerAgent: number;
  readonly heapBytesPerAgent: number;
  /** Of one core. */
  readonly cpuPercent: number;
}

const connectTimeoutMs = 300_000;

/** @param url of a MariaDB server */
export async function measureRest(
  url: string,
  redisUrl: string,
  { agents, restMs }: RestAmounts,
): Promise<RestReport[]> {
  const reports: RestReport[] = [];
  for (const count of agents) {
    const [replica] = await startReplicas(1, await createDatabase(url, `bench_rest_${count}`), redisUrl);
    if (replica === undefined) throw new Error('no replica was started');
    reports.push(await measure('replica', replica, count, restMs));
    reports.push(await measure('bare', await startBare(), count, restMs));
  }
  return reports;
}

async function measure(
  server: RestReport['server'],
  started: ServerUnderTest,
  agents: number,
  restMs: number,
): Promise<RestReport> {
  const worker = new Child('bench/idle-agents.ts', { execArgv: ['--import=tsx'], callTimeoutMs: connectTimeoutMs });
  try {
    const addresses = [started.agentsAddress];
    // What the first agents make it load and compile is not theirs.
    await worker.call('connect', { addresses, agents: 10, objects: 0 });
    await worker.call('disconnect');
    const before = await settled(started);
    await worker.call('connect', { addresses, agents, objects: 0 });
    const after = await settled(started);
    const cpuBefore = await started.child.call<number>('cpu');
    const begin = performance.now();
    await delay(restMs);
    const microseconds = (await started.child.call<number>('cpu')) - cpuBefore;
    const heap = (memory: typeof after): number => memory.heapUsed + memory.external;
    return {
      server,
      agents,
      residentBytesPerAgent: (after.rss - before.rss) / agents,
      heapBytesPerAgent: (heap(after) - heap(before)) / agents,
      cpuPercent: microseconds / 10 / (performance.now() - begin),
    };
  } finally {
    await worker.stop();
    await started.child.stop();
  }
}

export function restTable(reports: readonly RestReport[]): string {
  const kibibytes = (bytes: number): string => (bytes / 1_024).toFixed(1);
  return table(
    [
      ['idle agents', 'agents', 'KiB each', 'of that heap and buffers', 'CPU at rest, % of a core'],
      ...reports.map(({ server, agents, residentBytesPerAgent, heapBytesPerAgent, cpuPercent }) => [
        server === 'replica' ? 'a replica' : 'grpc-js alone',
        agents.toLocaleString('en'),
        kibibytes(residentBytesPerAgent),
        kibibytes(heapBytesPerAgent),
        cpuPercent.toFixed(1),
      ]),
    ],
    1,
  );
}

export function restTargets(reports: readonly RestReport[]): readonly Target[] {
  return reports
    .filter(({ server }) => server === 'replica')
    .flatMap(({ agents, residentBytesPerAgent, cpuPercent }): Target[] => {
      const name = `${agents.toLocaleString('en')} idle agents`;
      return [
        { name: `${name}, each`, value: residentBytesPerAgent / 1_024, limit: 40, least: false, unit: 'KiB' },
        { name: `${name}, CPU at rest`, value: cpuPercent, limit: 8, least: false, unit: '%', digits: 1 },
      ];
    });
}
