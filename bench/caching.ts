/** Cached objects: how fast they flow in from many agents, beside the same rows by multi-row upserts and nothing else. */

import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { silentLogger } from '../src/core/logger.js';
import { openDatabase } from '../src/store/sql/database.js';
import { migrate } from '../src/store/migrations/migrate.js';
import { simulatedScopes } from '../src/simulate/cluster.js';
import { startMariaDb } from '../test/services/mariadb.js';
import type { CachingAgentsOptions } from './caching-agents.js';
import { Child } from './child.js';
import type { RawUpsertsOptions } from './raw-upserts.js';
import { createDatabase, startReplicas, type ServerUnderTest } from './servers.js';

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
  readonly objectsPerSecond: number;
  readonly rawPerSecond: number;
  /** Most that the gateway's resident set ever was. */
  readonly peakResidentBytes: number;
  /** While the objects flowed in. */
  readonly cpu: CpuSeconds;
}

/** Both get the same server: room for the indexes in memory, and a log that does not end every few seconds. */
export const serverArguments = ['--innodb-buffer-pool-size=1G', '--innodb-log-file-size=512M'];
const limitMs = 300_000;

export async function measureCaching(redisUrl: string, amounts: CachingAmounts): Promise<CachingReport> {
  const server = await startMariaDb({ args: serverArguments });
  try {
    const raw = await measureRaw(server.url, amounts);
    const url = await createDatabase(server.url, 'cached');
    const [replica] = await startReplicas(1, url, redisUrl);
    if (replica === undefined) throw new Error('no replica was started');
    try {
      const { seconds, cpu } = await flowIn(replica, url, amounts, server.pid ?? 0);
      const { peakRss } = await replica.child.call<{ peakRss: number }>('memory');
      return {
        ...amounts,
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

async function measureRaw(server: string, amounts: CachingAmounts): Promise<number> {
  const name = 'raw';
  const url = await createDatabase(server, name);
  const database = openDatabase({ url, maxPoolSize: 2, connectionTimeoutMs: 10_000, queryTimeoutMs: 60_000 });
  await migrate(database, { logger: silentLogger, signal: AbortSignal.timeout(60_000) });
  await database.close();
  const worker = new Child('bench/raw-upserts.ts', { execArgv: ['--import=tsx'], callTimeoutMs: limitMs });
  try {
    return await worker.call<number>('upsert', { ...amounts, url } satisfies RawUpsertsOptions);
  } finally {
    await worker.stop();
    const connection = await createConnection({ uri: server });
    await connection.query(`drop database ${name}`);
    await connection.end();
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
  const connection = await createConnection({ uri: url });
  const count = async (from: string): Promise<number> => {
    const [rows] = await connection.query<RowDataPacket[]>(`select count(*) as n from ${from}`);
    return Number(rows[0]?.['n']);
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
    await connection.end();
    await worker.stop();
  }
}

/** User and system time of processes so far: fields 14 and 15 of /proc/PID/stat, in ticks of 10 ms (proc(5)). */
async function cpuSeconds(pids: Readonly<Record<keyof CpuSeconds, number>>): Promise<CpuSeconds> {
  const of = async (pid: number): Promise<number> => {
    const [, rest = ''] = (await readFile(`/proc/${String(pid)}/stat`, 'utf8')).split(') ');
    const fields = rest.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  };
  const [gateway, agents, database] = await Promise.all([of(pids.gateway), of(pids.agents), of(pids.database)]);
  return { gateway, agents, database };
}
