/**
 * What a cluster of many replicas costs at rest, and what one that dies means to the others: replicas of the built gateway as
 * processes, MariaDB, Redis and the product's agents, all on one machine.
 */

import { createConnection, type Connection } from 'mysql2/promise';
import { Redis } from 'ioredis';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { startMariaDb } from '../test/services/mariadb.js';
import { startRedis } from '../test/services/redis.js';
import { waitFor } from '../test/wait.js';
import { Child } from './child.js';
import { figure, statusOf } from './server-counters.js';
import type { IdleAgentsOptions } from './idle-agents.js';
import { table, type Target } from './report.js';
import { createDatabase, startReplicas, type ServerUnderTest } from './servers.js';

export interface ReplicasReport {
  readonly replicas: number;
  readonly agentsEach: number;
  readonly connectSeconds: number;
  /** Of one replica, and of the database and Redis for all of them, at rest. */
  readonly restCpuPercent: number;
  readonly restStatementsPerSecond: number;
  readonly restCommandsPerSecond: number;
  readonly residentBytes: number;
  readonly sqlConnections: number;
  readonly redisBytes: number;
  /** From kill -9 of one until all agents are listed, by any replica, as cached. */
  readonly killedSeconds: number;
  /** Agents of the replica that has the most then, over the mean. */
  readonly largestShare: number;
}

const settleMs = 15_000;
const restMs = 30_000;
const timeoutMs = 300_000;

export async function measureReplicas(
  replicas: number,
  agentsEach: number,
  say: (text: string) => void,
): Promise<ReplicasReport> {
  const [mariaDb, redis] = await Promise.all([startMariaDb(), startRedis()]);
  const url = await createDatabase(mariaDb.url, 'replicas');
  const database = await createConnection({ uri: mariaDb.url });
  const commands = new Redis(redis.url);
  const agents = new Child('bench/idle-agents.ts', { execArgv: ['--import=tsx'], callTimeoutMs: timeoutMs });
  const servers: ServerUnderTest[] = [];
  try {
    const redisBefore = await figure(commands, 'memory', 'used_memory');
    servers.push(...(await startReplicas(replicas, url, redis.url)));
    const count = replicas * agentsEach;
    const begin = performance.now();
    const options: IdleAgentsOptions = {
      addresses: servers.map(({ agentsAddress }) => agentsAddress),
      ...{ agents: count, objects: 0 },
    };
    await agents.call('connect', options);
    await waitFor(() => allListed(servers, count), { timeoutMs, intervalMs: 1_000, description: 'all agents at all' });
    const connectSeconds = (performance.now() - begin) / 1_000;
    say(`${count} agents registered at ${replicas} replicas after ${connectSeconds.toFixed(1)} s`);
    await delay(settleMs);
    const rest = await atRest(servers, database, commands);
    const killedSeconds = await kill(servers, count);
    say(`all agents served again ${killedSeconds.toFixed(1)} s after a replica was killed`);
    const shares = await Promise.all(servers.slice(1).map(connected));
    const largestShare = (Math.max(...shares) * shares.length) / count;
    const redisBytes = (await figure(commands, 'memory', 'used_memory')) - redisBefore;
    return { replicas, agentsEach, connectSeconds, ...rest, redisBytes, killedSeconds, largestShare };
  } finally {
    await agents.kill();
    await Promise.all(servers.map(({ child }) => child.kill()));
    await database.end().catch(() => undefined);
    commands.disconnect();
    await redis.stop();
    await mariaDb.stop();
  }
}

async function atRest(
  servers: readonly ServerUnderTest[],
  database: Connection,
  commands: Redis,
): Promise<
  Pick<
    ReplicasReport,
    'restCpuPercent' | 'restStatementsPerSecond' | 'restCommandsPerSecond' | 'residentBytes' | 'sqlConnections'
  >
> {
  const counters = async () => ({
    at: performance.now(),
    cpu: sum(await Promise.all(servers.map(({ child }) => child.call<number>('cpu')))),
    statements: await statusOf(database, 'Questions'),
    commands: await figure(commands, 'stats', 'total_commands_processed'),
  });
  const begin = await counters();
  await delay(restMs);
  const end = await counters();
  const seconds = (end.at - begin.at) / 1_000;
  const resident = await Promise.all(
    servers.map(async ({ child }) => (await child.call<{ rss: number }>('memory')).rss),
  );
  return {
    restCpuPercent: (end.cpu - begin.cpu) / 1e4 / seconds / servers.length,
    restStatementsPerSecond: (end.statements - begin.statements) / seconds,
    restCommandsPerSecond: (end.commands - begin.commands) / seconds,
    residentBytes: sum(resident) / servers.length,
    // The one that asks is not the replicas'.
    sqlConnections: (await statusOf(database, 'Threads_connected')) - 1,
  };
}

async function kill(servers: ServerUnderTest[], agents: number): Promise<number> {
  const begin = performance.now();
  await servers[0]?.child.kill();
  await waitFor(() => allListed(servers.slice(1), agents), { timeoutMs, description: 'all agents at the others' });
  return (performance.now() - begin) / 1_000;
}

/** Whether every replica shows all agents, each with its accounts cached. */
async function allListed(servers: readonly ServerUnderTest[], agents: number): Promise<boolean> {
  for (const { baseUrl } of servers) {
    const response = await request(`${baseUrl}/armory/agents`);
    const listed = (await response.body.json()) as { readonly caching: boolean }[];
    if (response.statusCode !== 200 || listed.filter(({ caching }) => caching).length < agents) return false;
  }
  return true;
}

async function connected({ baseUrl }: ServerUnderTest): Promise<number> {
  const response = await request(`${baseUrl}/metrics`);
  const text = await response.body.text();
  return Number(/^agent_gateway_agents_connected(?:\{[^}]*\})? (\d+)/mu.exec(text)?.[1]);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export function replicasTable(report: ReplicasReport): string {
  const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return table(
    [
      ['replicas x agents', `${report.replicas} x ${report.agentsEach}`],
      ['all registered, and known to all replicas, after', `${report.connectSeconds.toFixed(1)} s`],
      ['CPU of each replica at rest', `${report.restCpuPercent.toFixed(1)} % of a core`],
      ['SQL statements of all', `${report.restStatementsPerSecond.toFixed(0)} /s`],
      ['Redis commands of all', `${report.restCommandsPerSecond.toFixed(0)} /s`],
      ['resident set of each replica', mebibytes(report.residentBytes)],
      ['SQL connections of all at rest', String(report.sqlConnections)],
      ['memory of Redis, grown by', mebibytes(report.redisBytes)],
      ['all agents served after a replica was killed', `${report.killedSeconds.toFixed(1)} s`],
      ['the replica that has the most agents then', `${report.largestShare.toFixed(2)} of the mean`],
    ],
    1,
  );
}

export function replicasTargets(report: ReplicasReport): readonly Target[] {
  const most = (name: string, value: number, limit: number, unit: string): Target => ({
    name: `${report.replicas} replicas: ${name}`,
    ...{ value, limit, unit, least: false },
  });
  return [
    most('SQL statements at rest, of each', report.restStatementsPerSecond / report.replicas, 10, '/s'),
    most('served after a kill', report.killedSeconds, 60, 's'),
    // Beyond it replicas ask agents to dial again (kubesvc.rebalance.tolerance).
    most('largest share after a kill', report.largestShare, 1.5, 'of the mean'),
  ];
}
