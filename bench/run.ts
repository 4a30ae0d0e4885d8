/**
 * `npm run bench [-- --quick] [-- --no-targets] [-- --profile DIRECTORY] [-- --only PART]`: see docs/benchmarks.md.
 * Exit code 1 when a target is missed, or when anything that is measured fails.
 */

import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ReleaseStack } from '../src/core/release-stack.js';
import { startMariaDb } from '../test/services/mariadb.js';
import { ensurePackages, mariaDbAndRedis } from '../test/services/packages.js';
import { progress } from '../test/services/progress.js';
import { startPostgres } from '../test/services/postgres.js';
import { startRedis } from '../test/services/redis.js';
import { fillHistory, historyTable, historyTargets, measureHistory } from './history.js';
import { killHalfWay } from './caching-kill.js';
import { measureCaching } from './caching.js';
import { Child } from './child.js';
import { describeMachine } from './machine.js';
import { kubernetesApiTables, kubernetesApiTargets } from './kubernetes-api-report.js';
import { measureKubernetesApi, profileKubernetesApi } from './kubernetes-api.js';
import { measureMemory } from './memory.js';
import type { OwnershipReport } from './ownership.js';
import { profileCases } from './profile.js';
import {
  cachingTable,
  cachingTargets,
  isMet,
  memoryTable,
  targetLine,
  targetsOf,
  throughputTable,
  watchingTable,
  watchingTargets,
  type Target,
} from './report.js';
import { measureReplicas, replicasTable, replicasTargets } from './replicas.js';
import { scaleTable, scaleTargets } from './scale-report.js';
import { measureScale, type ScaleReport } from './scale.js';
import { createDatabase, startBare, startReplicas, type ServerUnderTest } from './servers.js';
import { measureTls, tlsTables, tlsTargets } from './tls.js';
import { measureThroughput, startWorkers, type Servers } from './throughput.js';
import { measureWatchingAgent } from './watching-agent.js';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    'no-targets': { type: 'boolean', default: false },
    profile: { type: 'string' },
    only: { type: 'string' },
  },
});

const amounts = flags.quick
  ? { rounds: 3, warmUpMs: 1_000, measureMs: 400 }
  : { rounds: 7, warmUpMs: 2_500, measureMs: 1_200 };
const cachedObjects = { agents: 50, objects: flags.quick ? 400 : 4_000, objectBytes: 4_096 };
const idleAgents = 1_000;
const ownershipAccounts = 1_000_000;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function required(server: ServerUnderTest | undefined): ServerUnderTest {
  if (server === undefined) throw new Error('a server was not started');
  return server;
}

/** The agent that runs in clusters, on a real API server. */
async function watchingAgent(redisUrl: string): Promise<boolean> {
  const report = await progress('measuring the agent', () => measureWatchingAgent(redisUrl));
  if (typeof report === 'string') {
    say(`\nthe agent is not measured: ${report}`);
    return true;
  }
  say(`\n${watchingTable(report)}\n`);
  const targets = watchingTargets(report);
  for (const target of targets) say(targetLine(target));
  return flags['no-targets'] || targets.every(isMet);
}

/** Two replicas, agents at both stacks, and the load generator. @returns all but the bare stack in `processes` */
async function startServers(
  bare: ServerUnderTest,
  database: string,
  redisUrl: string,
  scope: ReleaseStack,
  secretFile?: string,
): Promise<{ servers: Servers; load: Child; processes: readonly Child[] }> {
  const [owner, entry] = await startReplicas(2, database, redisUrl, secretFile === undefined ? {} : { secretFile });
  const servers: Servers = { owner: required(owner), entry: required(entry), bare };
  const { load, agents } = await startWorkers(servers);
  const processes = [load, agents, servers.owner.child, servers.entry.child];
  for (const child of processes) scope.push('process', () => child.stop());
  return { servers, load, processes };
}

/** Forwarding between instances that prove to each other that they are, beside instances that do not. */
async function signed(redisUrl: string, scope: ReleaseStack): Promise<boolean> {
  const mariaDb = await startMariaDb();
  scope.push('mariadb', () => mariaDb.stop());
  const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-bench-'));
  scope.push('secret', () => rm(directory, { recursive: true }));
  const secretFile = join(directory, 'secret');
  await writeFile(secretFile, randomBytes(48).toString('base64'));
  const bare = await startBare();
  scope.push('bare stack', () => bare.child.stop());
  for (const [name, file] of [
    ['without_secret', undefined],
    ['with_secret', secretFile],
  ] as const) {
    const database = await createDatabase(mariaDb.url, name);
    const { servers, load, processes } = await startServers(bare, database, redisUrl, scope, file);
    const throughput = await progress('measuring throughput', () => measureThroughput(servers, load, amounts));
    say(`\n${name}\n\n${throughputTable(throughput)}`);
    for (const child of processes) await child.stop();
  }
  return true;
}

/** A replica at the size that it is documented for. */
async function scale(): Promise<boolean> {
  const stalls = ['replica', 'database', 'redis', 'cores'] as const;
  const restMs = flags.quick ? 30_000 : 600_000;
  const cases = flags.quick
    ? [{ agents: 2_000, accounts: 1, restMs, stallMs: 20_000, stalls }]
    : [
        { agents: 10_000, accounts: 1, restMs, stallMs: 20_000, stalls },
        { agents: 1_000, accounts: 100, restMs: 60_000, stallMs: 20_000, stalls },
        { agents: 5, accounts: 20_000, restMs: 60_000, stallMs: 20_000, stalls },
      ];
  const reports: ScaleReport[] = [];
  for (const each of cases) reports.push(await measureScale(each, say));
  say(`\n${scaleTable(reports)}\n`);
  const targets = reports.flatMap(scaleTargets);
  for (const target of targets) say(targetLine(target));
  return flags['no-targets'] || targets.every(isMet);
}

/** Many replicas. */
async function replicas(): Promise<boolean> {
  const report = await measureReplicas(flags.quick ? 3 : 20, 100, say);
  say(`\n${replicasTable(report)}\n`);
  const targets = replicasTargets(report);
  for (const target of targets) say(targetLine(target));
  return flags['no-targets'] || targets.every(isMet);
}

/** The Kubernetes API of accounts. */
async function kubernetesApi(): Promise<boolean> {
  if (flags.profile !== undefined) {
    say(await profileKubernetesApi(flags.profile));
    return true;
  }
  const counts = { ...amounts, lists: flags.quick ? 1 : 3, watches: flags.quick ? 1_000 : 5_000 };
  const report = await progress('measuring the Kubernetes API', () => measureKubernetesApi(counts));
  say(`\n${kubernetesApiTables(report)}\n`);
  const targets = kubernetesApiTargets(report);
  for (const target of targets) say(targetLine(target));
  return flags['no-targets'] || targets.every(isMet);
}

/** Many small TLS connections. */
async function tls(): Promise<boolean> {
  const amounts = flags.quick
    ? { rounds: 3, measureMs: 1_500, arrivalMs: 10_000 }
    : { rounds: 5, measureMs: 4_000, arrivalMs: 30_000 };
  const report = await measureTls(amounts, say);
  say(`\n${tlsTables(report)}\n`);
  const targets = tlsTargets(report);
  for (const target of targets) say(targetLine(target));
  return flags['no-targets'] || targets.every(isMet);
}

/** The list of operations over a history of `ROWS` rows (default 10 million). */
async function history(scope: ReleaseStack): Promise<boolean> {
  const rows = Number(process.env['ROWS'] ?? (flags.quick ? 200_000 : 10_000_000));
  const mariaDb = await startMariaDb({ args: ['--innodb-buffer-pool-size=1G'] });
  scope.push('mariadb', () => mariaDb.stop());
  const postgres = await startPostgres({
    args: ['-c', 'shared_buffers=1GB', '-c', 'maintenance_work_mem=256MB', '-c', 'max_wal_size=8GB'],
  });
  scope.push('postgres', () => postgres.stop());
  const targets: Target[] = [];
  const urls = [await createDatabase(mariaDb.url, 'bench_history'), postgres.url];
  for (const filled of await Promise.all(urls.map((url) => fillHistory(url, rows, say)))) {
    scope.push('connections', () => filled.database.close());
    const report = await measureHistory(filled);
    say(`\n${historyTable(report)}\n`);
    targets.push(...historyTargets(report));
  }
  for (const target of targets) say(targetLine(target));
  return flags['no-targets'] || targets.every(isMet);
}

/** One part by itself. */
async function only(part: string, scope: ReleaseStack): Promise<boolean> {
  if (part === 'scale') return scale();
  if (part === 'replicas') return replicas();
  if (part === 'kubernetes-api') return kubernetesApi();
  if (part === 'tls') return tls();
  if (part === 'history') return history(scope);
  const redis = await startRedis();
  scope.push('redis', () => redis.stop());
  if (part === 'caching-kill') {
    const { objects, killedAt, different, seconds } = await killHalfWay(redis.url, cachedObjects);
    say(
      `\n${objects} objects, agents and a replica killed at ${killedAt}: ${different} differ after ${seconds.toFixed(0)} s`,
    );
    return different === 0;
  }
  if (part === 'signed') return signed(redis.url, scope);
  if (part === 'agent') return watchingAgent(redis.url);
  if (part !== 'caching')
    throw new Error(
      `--only takes caching, caching-kill, agent, history, kubernetes-api, replicas, scale, signed or tls, not ${part}`,
    );
  const caching = await progress('measuring caching', () => measureCaching(redis.url, cachedObjects));
  say(`\n${cachingTable(caching)}\n`);
  const targets = cachingTargets(caching);
  for (const target of targets) say(targetLine(target));
  return flags['no-targets'] || targets.every(isMet);
}

async function main(scope: ReleaseStack): Promise<boolean> {
  const startedAt = performance.now();
  say(describeMachine().join('\n'));
  await ensurePackages({ names: mariaDbAndRedis });
  if (flags.only !== undefined) return only(flags.only, scope);
  const [mariaDb, redis] = await Promise.all([startMariaDb(), startRedis()]);
  scope.push('redis', () => redis.stop());
  scope.push('mariadb', () => mariaDb.stop());

  const database = await createDatabase(mariaDb.url, 'bench');
  const bare = await startBare();
  scope.push('bare stack', () => bare.child.stop());
  const { servers, load, processes } = await startServers(bare, database, redis.url, scope);

  if (flags.profile !== undefined) {
    mkdirSync(flags.profile, { recursive: true });
    say(await profileCases(servers, load, flags.profile));
    return true;
  }
  const throughput = await progress('measuring throughput', () => measureThroughput(servers, load, amounts));
  say(`\n${throughputTable(throughput)}\n`);
  for (const child of [...processes, bare.child]) await child.stop();

  const measured = async (name: string, objects: number) => {
    const [alone] = await startReplicas(1, await createDatabase(mariaDb.url, name), redis.url);
    scope.push('server', () => alone?.child.stop());
    const memory = await progress('measuring memory', () => measureMemory(required(alone), idleAgents, objects));
    await alone?.child.stop();
    return memory;
  };
  const memory = await measured('bench_memory', 0);
  const cachingMemory = await measured('bench_caching_memory', 1);
  const caching = await progress('measuring caching', () => measureCaching(redis.url, cachedObjects));

  const map = new Child('bench/ownership.ts', { execArgv: ['--import=tsx', '--expose-gc'] });
  scope.push('worker', () => map.stop());
  const argument = { accounts: ownershipAccounts, agents: 50_000, instances: 50 };
  const ownership = await map.call<OwnershipReport>('measure', argument);

  const report = { throughput, memory, cachingMemory, ownership, ownershipAccounts };
  say(`${memoryTable(report)}\n`);
  say(`${cachingTable(caching)}\n`);
  const targets = [...targetsOf(report), ...cachingTargets(caching)];
  for (const target of targets) say(targetLine(target));
  const agentMeets = await watchingAgent(redis.url);
  say(`\n${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
  return flags['no-targets'] || (targets.every(isMet) && agentMeets);
}

const scope = new ReleaseStack();
try {
  process.exitCode = (await main(scope)) ? 0 : 1;
} finally {
  await scope.close();
}
