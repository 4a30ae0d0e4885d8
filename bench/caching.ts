/** Cached objects: how fast they flow in from many agents, beside the same rows by multi-row upserts and nothing else. */

import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { silentLogger } from '../src/core/logger.js';
import { openDatabase, type Database } from '../src/store/sql/database.js';
import { migrate } from '../src/store/migrations/migrate.js';
import { simulatedScopes } from '../src/simulate/cluster.js';
import type { CachingAgentsOptions } from './caching-agents.js';
import { Child } from './child.js';
import { processCpuSeconds, type BenchEngine } from './engines.js';
import type { RawUpsertsOptions } from './raw-upserts.js';
import { startReplicas, type ServerUnderTest } from './servers.js';

export interface CachingAmounts {
  readonly agents: number;
  /** Of each agent. */
  readonly objects: number;
  readonly objectBytes: number;
}

/** CPU time of processes, in s. */
export interface CpuSeconds {
  readonly gateway: number;
  readonly agents: number;
  readonly database: number;
}

export interface CachingReport extends CachingAmounts {
  /** The name of the database server. */
  readonly engine: string;
  readonly objectsPerSecond: number;
  readonly rawPerSecond: number;
  /** Most that the gateway's resident set ever was. */
  readonly peakResidentBytes: number;
  /** While the objects flowed in. */
  readonly cpu: CpuSeconds;
}

const limitMs = 300_000;

/** Both get the same server, with a database each. */
export async function measureCaching(
  redisUrl: string,
  amounts: CachingAmounts,
  engine: BenchEngine,
): Promise<CachingReport> {
  const server = await engine.start();
  try {
    const raw = await measureRaw(server.url, amounts, engine);
    const url = await engine.createDatabase(server.url, 'cached');
    const [replica] = await startReplicas(1, url, redisUrl);
    if (replica === undefined) throw new Error('no replica was started');
    try {
      const { seconds, cpu } = await flowIn(replica, url, amounts, server.pid ?? 0);
      const { peakRss } = await replica.child.call<{ peakRss: number }>('memory');
      return {
        ...amounts,
        engine: engine.name,
        objectsPerSecond: (amounts.agents * amounts.objects) / seconds,
        rawPerSecond: raw,
        peakResidentBytes: peakRss,
        cpu,
      };
    } finally {
      await replica.child.stop();
    }
  } finally {
    await server.stop();
  }
}

function open(url: string): Database {
  return openDatabase({ url, maxPoolSize: 2, connectionTimeoutMs: 10_000, queryTimeoutMs: 60_000 });
}

async function measureRaw(server: string, amounts: CachingAmounts, engine: BenchEngine): Promise<number> {
  const url = await engine.createDatabase(server, 'raw');
  const database = open(url);
  await migrate(database, { logger: silentLogger, signal: AbortSignal.timeout(60_000) });
  const worker = new Child('bench/raw-upserts.ts', { execArgv: ['--import=tsx'], callTimeoutMs: limitMs });
  try {
    return await worker.call<number>('upsert', { ...amounts, url } satisfies RawUpsertsOptions);
  } finally {
    await worker.stop();
    // The server has its memory for itself again.
    for (const table of ['kubesvc_cache', 'kubesvc_cache_rel']) {
      await database.run((db) => sql`truncate table ${sql.table(table)}`.execute(db));
    }
    await database.close();
  }
}

/** @returns the seconds from the agents' start until everything is committed */
async function flowIn(
  { agentsAddress, child }: ServerUnderTest,
  url: string,
  amounts: CachingAmounts,
  databasePid: number,
): Promise<{ readonly seconds: number; readonly cpu: CpuSeconds }> {
  const worker = new Child('bench/caching-agents.ts', { execArgv: ['--import=tsx'] });
  const database = open(url);
  const count = async (from: string): Promise<number> => {
    const { rows } = await database.run((db) =>
      sql<{ n: number | string }>`select count(*) as n from ${sql.raw(from)}`.execute(db),
    );
    return Number(rows[0]?.n);
  };
  try {
    const options = { ...amounts, addresses: [agentsAddress] } satisfies CachingAgentsOptions;
    // Making the rows is not counted of the raw upserts either.
    await worker.call('prepare', options);
    const pids = { gateway: child.pid, agents: worker.pid, database: databasePid };
    const before = await cpuSeconds(pids);
    const startedAt = performance.now();
    await worker.call('stream', options);
    const scopes = amounts.agents * simulatedScopes.length;
    // A scope has a resume point once its snapshot is complete.
    while ((await count("kubesvc_resourceversion where resourceversion <> ''")) < scopes) {
      if (performance.now() - startedAt > limitMs)
        throw new Error(`the objects have not flowed in after ${limitMs} ms`);
      await delay(50);
    }
    const seconds = (performance.now() - startedAt) / 1_000;
    const after = await cpuSeconds(pids);
    const [found, wanted] = [await count('kubesvc_cache'), amounts.agents * amounts.objects];
    if (found !== wanted) throw new Error(`${found} of ${wanted} objects are in kubesvc_cache`);
    const spent = (name: keyof CpuSeconds): number => after[name] - before[name];
    return { seconds, cpu: { gateway: spent('gateway'), agents: spent('agents'), database: spent('database') } };
  } finally {
    await database.close();
    await worker.stop();
  }
}

async function cpuSeconds(pids: Readonly<Record<keyof CpuSeconds, number>>): Promise<CpuSeconds> {
  const [gateway, agents, database] = await Promise.all([
    processCpuSeconds(pids.gateway),
    processCpuSeconds(pids.agents),
    processCpuSeconds(pids.database),
  ]);
  return { gateway, agents, database };
}
