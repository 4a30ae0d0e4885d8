/** The parts of the bench, each by itself: `npm run bench -- --only PART`. */

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ReleaseStack } from '../src/core/release-stack.js';
import { startMariaDb } from '../test/services/mariadb.js';
import { progress } from '../test/services/progress.js';
import { startPostgres } from '../test/services/postgres.js';
import { startRedis } from '../test/services/redis.js';
import { fillHistory, historyTable, historyTargets, measureHistory } from './history.js';
import { killHalfWay } from './caching-kill.js';
import { measureCaching, type CachingReport } from './caching.js';
import { allEngines } from './engines.js';
import { kubernetesApiTables, kubernetesApiTargets } from './kubernetes-api-report.js';
import { measureKubernetesApi, profileKubernetesApi } from './kubernetes-api.js';
import { measureLatency, traceOperations, type LatencyAmounts } from './latency.js';
import { latencyTable, latencyTargets, traceTables } from './latency-report.js';
import {
  cachingTable,
  cachingTargets,
  isMet,
  targetLine,
  throughputTable,
  watchingTable,
  watchingTargets,
  type Target,
} from './report.js';
import { measureNodes, nodeProgram, nodesTable } from './nodes.js';
import { measureRest, restTable, restTargets } from './rest.js';
import { measureReplicas, replicasTable, replicasTargets } from './replicas.js';
import { scaleTable, scaleTargets } from './scale-report.js';
import { measureScale, type ScaleReport } from './scale.js';
import { createDatabase, startBare } from './servers.js';
import { startServers, type StartedServers, type Stores } from './started-servers.js';
import { measureStart, startTables, startTargets } from './start.js';
import { measureTls, tlsTables, tlsTargets } from './tls.js';
import { measureThroughput, type ThroughputOptions } from './throughput.js';
import { measureWatchingAgent } from './watching-agent.js';

/** As it was asked for on the command line. */
export interface Bench {
  /** Shorter, less exact. */
  readonly quick: boolean;
  /** Whether a target that is missed makes the bench fail. */
  readonly strict: boolean;
  /** Directory for CPU profiles, in place of measurements. */
  readonly profile: string | undefined;
  /** Version of Node.js that is measured, as nodeDirectory() takes it; undefined: that of this process. */
  readonly node: string | undefined;
  readonly say: (text: string) => void;
}

/** @returns false if it makes the bench fail */
type Part = (bench: Bench, scope: ReleaseStack) => Promise<boolean>;

export const cachedObjects = ({ quick }: Bench) => ({ agents: 50, objects: quick ? 400 : 4_000, objectBytes: 4_096 });

export function amountsOf({ quick }: Bench): ThroughputOptions {
  return quick ? { rounds: 3, warmUpMs: 1_000, measureMs: 400 } : { rounds: 7, warmUpMs: 2_500, measureMs: 1_200 };
}

/** Prints the targets. @returns false if one is missed and that makes the bench fail */
export function judge({ strict, say }: Bench, targets: readonly Target[]): boolean {
  for (const target of targets) say(targetLine(target));
  return !strict || targets.every(isMet);
}

/** MariaDB and Redis. */
export async function startStores(scope: ReleaseStack): Promise<Stores> {
  const [mariaDb, redis] = await Promise.all([startMariaDb(), startRedis()]);
  scope.push('redis', () => redis.stop());
  scope.push('mariadb', () => mariaDb.stop());
  return { mariaDb, redis };
}

/** One operation in flight, and where its time goes. @returns the targets */
export async function measuredLatency(
  bench: Bench,
  { servers, agents, caller }: StartedServers,
): Promise<readonly Target[]> {
  const amounts: LatencyAmounts = bench.quick
    ? { rounds: 3, warmUpMs: 500, measureMs: 400, traced: 500 }
    : { rounds: 5, warmUpMs: 1_000, measureMs: 1_000, traced: 3_000 };
  const workers = { agents, caller };
  const latency = await progress('measuring latency', () => measureLatency(servers, workers, amounts));
  bench.say(`\n${latencyTable(latency)}\n`);
  const traces = await progress('tracing operations', () => traceOperations(servers, workers, amounts));
  bench.say(`\n${traceTables(traces)}\n`);
  return latencyTargets(latency);
}

async function latency(bench: Bench, scope: ReleaseStack): Promise<boolean> {
  const stores = await startStores(scope);
  const bare = await startBare();
  scope.push('bare stack', () => bare.child.stop());
  const servers = await startServers(bare, stores, 'bench', scope);
  return judge(bench, await measuredLatency(bench, servers));
}

/** How long a replica takes to start. @returns the targets */
export async function measuredStart(bench: Bench, sqlUrl: string, redisUrl: string): Promise<readonly Target[]> {
  const report = await progress('measuring starts', () => measureStart(sqlUrl, redisUrl, bench.quick ? 3 : 5));
  bench.say(`\n${startTables(report)}\n`);
  return startTargets(report);
}

async function start(bench: Bench, scope: ReleaseStack): Promise<boolean> {
  const { mariaDb, redis } = await startStores(scope);
  return judge(bench, await measuredStart(bench, mariaDb.url, redis.url));
}

/** Idle agents. */
async function rest(bench: Bench, scope: ReleaseStack): Promise<boolean> {
  const { mariaDb, redis } = await startStores(scope);
  const amounts = bench.quick ? { agents: [1_000], restMs: 10_000 } : { agents: [1_000, 5_000], restMs: 60_000 };
  const reports = await progress('measuring idle agents', () => measureRest(mariaDb.url, redis.url, amounts));
  bench.say(`\n${restTable(reports)}\n`);
  return judge(bench, restTargets(reports));
}

/** This Node.js and another one, by default that of the image. */
async function nodes(bench: Bench, scope: ReleaseStack): Promise<boolean> {
  const programs = [process.execPath, await nodeProgram(bench.node ?? 'lts')];
  const stores = await startStores(scope);
  const reports = await progress('measuring throughput', () => measureNodes(programs, stores, amountsOf(bench), scope));
  bench.say(`\n${nodesTable(reports)}`);
  return true;
}

async function caching(bench: Bench, scope: ReleaseStack): Promise<boolean> {
  const redis = await startRedis();
  scope.push('redis', () => redis.stop());
  const reports: CachingReport[] = [];
  for (const engine of allEngines) {
    const missing = await engine.missing();
    if (missing !== undefined) bench.say(`not measured on ${engine.name}: ${missing}`);
    else
      reports.push(
        await progress(`measuring caching on ${engine.name}`, () =>
          measureCaching(redis.url, cachedObjects(bench), engine),
        ),
      );
  }
  bench.say(`\n${cachingTable(reports)}\n`);
  return judge(bench, cachingTargets(reports));
}

async function cachingKill(bench: Bench, scope: ReleaseStack): Promise<boolean> {
  const redis = await startRedis();
  scope.push('redis', () => redis.stop());
  const { objects, killedAt, different, seconds } = await killHalfWay(redis.url, cachedObjects(bench));
  bench.say(
    `\n${objects} objects, agents and a replica killed at ${killedAt}: ${different} differ after ${seconds.toFixed(0)} s`,
  );
  return different === 0;
}

async function agent(bench: Bench, scope: ReleaseStack): Promise<boolean> {
  const redis = await startRedis();
  scope.push('redis', () => redis.stop());
  return watchingAgent(bench, redis.url);
}

/** The agent that runs in clusters, on a real API server. */
export async function watchingAgent(bench: Bench, redisUrl: string): Promise<boolean> {
  const report = await progress('measuring the agent', () => measureWatchingAgent(redisUrl));
  if (typeof report === 'string') {
    bench.say(`\nthe agent is not measured: ${report}`);
    return true;
  }
  bench.say(`\n${watchingTable(report)}\n`);
  const targets = watchingTargets(report);
  return judge(bench, targets);
}

/** Forwarding between instances that prove to each other that they are, beside instances that do not. */
async function signed(bench: Bench, scope: ReleaseStack): Promise<boolean> {
  const stores = await startStores(scope);
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
    const options = file === undefined ? {} : { secretFile: file };
    const { servers, load, processes } = await startServers(bare, stores, name, scope, options);
    const throughput = await progress('measuring throughput', () => measureThroughput(servers, load, amountsOf(bench)));
    bench.say(`\n${name}\n\n${throughputTable(throughput)}`);
    for (const child of processes) await child.stop();
  }
  return true;
}

/** A replica at the size that it is documented for. */
async function scale(bench: Bench): Promise<boolean> {
  const stalls = ['replica', 'database', 'redis', 'cores'] as const;
  const restMs = bench.quick ? 30_000 : 600_000;
  const cases = bench.quick
    ? [{ agents: 2_000, accounts: 1, restMs, stallMs: 20_000, stalls }]
    : [
        { agents: 10_000, accounts: 1, restMs, stallMs: 20_000, stalls },
        { agents: 1_000, accounts: 100, restMs: 60_000, stallMs: 20_000, stalls },
        { agents: 5, accounts: 20_000, restMs: 60_000, stallMs: 20_000, stalls },
      ];
  const reports: ScaleReport[] = [];
  for (const each of cases) reports.push(await measureScale(each, bench.say));
  bench.say(`\n${scaleTable(reports)}\n`);
  const targets = reports.flatMap(scaleTargets);
  return judge(bench, targets);
}

/** Many replicas. */
async function replicas(bench: Bench): Promise<boolean> {
  const report = await measureReplicas(bench.quick ? 3 : 20, 100, bench.say);
  bench.say(`\n${replicasTable(report)}\n`);
  const targets = replicasTargets(report);
  return judge(bench, targets);
}

/** The Kubernetes API of accounts. */
async function kubernetesApi(bench: Bench): Promise<boolean> {
  if (bench.profile !== undefined) {
    bench.say(await profileKubernetesApi(bench.profile));
    return true;
  }
  const counts = { ...amountsOf(bench), lists: bench.quick ? 1 : 3, watches: bench.quick ? 1_000 : 5_000 };
  const report = await progress('measuring the Kubernetes API', () => measureKubernetesApi(counts));
  bench.say(`\n${kubernetesApiTables(report)}\n`);
  const targets = kubernetesApiTargets(report);
  return judge(bench, targets);
}

/** Many small TLS connections. */
async function tls(bench: Bench): Promise<boolean> {
  const amounts = bench.quick
    ? { rounds: 3, measureMs: 1_500, arrivalMs: 10_000 }
    : { rounds: 5, measureMs: 4_000, arrivalMs: 30_000 };
  const report = await measureTls(amounts, bench.say);
  bench.say(`\n${tlsTables(report)}\n`);
  const targets = tlsTargets(report);
  return judge(bench, targets);
}

/** The list of operations over a history of `ROWS` rows (default 10 million). */
async function history(bench: Bench, scope: ReleaseStack): Promise<boolean> {
  const rows = Number(process.env['ROWS'] ?? (bench.quick ? 200_000 : 10_000_000));
  const mariaDb = await startMariaDb({ args: ['--innodb-buffer-pool-size=1G'] });
  scope.push('mariadb', () => mariaDb.stop());
  const postgres = await startPostgres({
    args: ['-c', 'shared_buffers=1GB', '-c', 'maintenance_work_mem=256MB', '-c', 'max_wal_size=8GB'],
  });
  scope.push('postgres', () => postgres.stop());
  const targets: Target[] = [];
  const urls = [await createDatabase(mariaDb.url, 'bench_history'), postgres.url];
  for (const filled of await Promise.all(urls.map((url) => fillHistory(url, rows, bench.say)))) {
    scope.push('connections', () => filled.database.close());
    const report = await measureHistory(filled);
    bench.say(`\n${historyTable(report)}\n`);
    targets.push(...historyTargets(report));
  }
  return judge(bench, targets);
}

export const parts: ReadonlyMap<string, Part> = new Map<string, Part>([
  ['agent', agent],
  ['caching', caching],
  ['caching-kill', cachingKill],
  ['history', history],
  ['kubernetes-api', kubernetesApi],
  ['latency', latency],
  ['nodes', nodes],
  ['replicas', replicas],
  ['rest', rest],
  ['scale', scale],
  ['signed', signed],
  ['start', start],
  ['tls', tls],
]);
