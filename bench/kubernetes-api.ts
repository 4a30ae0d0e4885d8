/**
 * The Kubernetes API through the gateway, beside a bare reverse proxy and beside the API server asked directly: requests
 * of 1 KiB each way, a list of 200 MiB, and watches on which nothing happens.
 */

import { mkdirSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ReleaseStack } from '../src/core/release-stack.js';
import { startMariaDb } from '../test/services/mariadb.js';
import { startRedis } from '../test/services/redis.js';
import { waitFor } from '../test/wait.js';
import type { ApiAgentsOptions } from './api-agents.js';
import type { ApiLoadOptions, ApiWatchesOptions } from './api-load.js';
import { listBytes } from './api-requests.js';
import { Child } from './child.js';
import type { LoadReport } from './load.js';
import { settled } from './memory.js';
import { profileRun } from './profile.js';
import { inRounds } from './rounds.js';
import {
  createDatabase,
  startAgent,
  startApiServer,
  startBareProxy,
  startReplicas,
  type ServerUnderTest,
  type StartedServer,
} from './servers.js';
import { median } from './throughput.js';

/** Which way requests take to the API server; `forwarded`: by a replica that does not hold the agent. */
const apiRoutes = ['direct', 'proxy', 'local', 'forwarded'] as const;
export type ApiRoute = (typeof apiRoutes)[number];

export interface ApiAmounts {
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  readonly lists: number;
  readonly watches: number;
}

/** Medians over the rounds. */
export interface ApiCaseReport {
  readonly route: ApiRoute;
  readonly inFlight: number;
  readonly requestsPerSecond: number;
  /** Per second of CPU time of the proxy, or of the gateway's replicas; 0 where there is neither. */
  readonly requestsPerCpuSecond: number;
  /** The same, as a part of the bare proxy's in the same round. */
  readonly ratio: number;
  /** CPU time of the agent, which is not counted above, in µs. */
  readonly agentMicroseconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface ApiListReport {
  readonly route: ApiRoute;
  readonly bytesPerSecond: number;
  /** As a part of the bare proxy's in the same round. */
  readonly ratio: number;
  /** By how much the resident set grew in any round, of the process in which it grew most. */
  readonly residentGrowth: number;
}

export interface ApiWatchesReport {
  readonly watches: number;
  readonly agents: number;
  /** Of resident set, per watch. */
  readonly ownerBytes: number;
  readonly entryBytes: number;
}

export interface KubernetesApiReport {
  readonly cases: readonly ApiCaseReport[];
  readonly lists: readonly ApiListReport[];
  readonly watches: ApiWatchesReport;
}

interface Stack {
  readonly load: Child;
  readonly agent: Child;
  readonly baseUrls: Readonly<Record<ApiRoute, string>>;
  /** Whose CPU time a request of the route costs. */
  readonly processes: Readonly<Record<ApiRoute, readonly Child[]>>;
}

interface ApiCase {
  readonly route: ApiRoute;
  readonly inFlight: number;
}

interface Measurement extends LoadReport {
  readonly cpuSeconds: number;
  readonly agentSeconds: number;
}

const account = 'bench';
const watchingAgents = 100;
const apiCases: readonly ApiCase[] = [64, 1].flatMap((inFlight) => apiRoutes.map((route) => ({ route, inFlight })));
const listRoutes: readonly ApiRoute[] = ['proxy', 'local', 'forwarded'];
/** Between two looks at the resident set, in ms. */
const sampleMs = 10;
const pageBytes = 4_096;

export async function measureKubernetesApi(amounts: ApiAmounts): Promise<KubernetesApiReport> {
  return withServers(async (apiServer, replicas, scope) => {
    const stack = await startStack(apiServer, await replicas('api'), scope);
    const cases = await measureCases(stack, amounts);
    const lists = await measureLists(stack, amounts.lists);
    for (const child of [stack.agent, ...stack.processes.forwarded]) await child.stop();
    const watches = await measureWatches(apiServer, await replicas('api_watches'), amounts.watches, scope);
    return { cases, lists, watches };
  });
}

/** CPU profiles in place of measurements. @returns the summaries as text */
export async function profileKubernetesApi(directory: string): Promise<string> {
  mkdirSync(directory, { recursive: true });
  return withServers(async (apiServer, replicas, scope) => {
    const stack = await startStack(apiServer, await replicas('api'), scope);
    const summaries: string[] = [];
    for (const each of apiCases.filter(({ route, inFlight }) => route !== 'direct' && inFlight > 1)) {
      const children = stack.processes[each.route];
      const processes = children.map((child, index) => ({
        name: `kubernetes-api-${each.route}${children.length === 1 ? '' : index === 0 ? '-entry' : '-owner'}`,
        child,
      }));
      if (each.route === 'local') processes.push({ name: 'kubernetes-api-local-agent', child: stack.agent });
      summaries.push(await profileRun(processes, directory, (durationMs) => run(stack, each, durationMs)));
    }
    const [entry, owner] = stack.processes.forwarded;
    if (entry === undefined || owner === undefined) throw new Error('a replica was not started');
    const listing = [
      { name: 'kubernetes-api-list-entry', child: entry },
      { name: 'kubernetes-api-list-owner', child: owner },
      { name: 'kubernetes-api-list-agent', child: stack.agent },
    ];
    summaries.push(await profileRun(listing, directory, () => listAsMebibytes(stack)));
    return summaries.join('\n\n');
  });
}

type StartPair = (database: string) => Promise<readonly [owner: ServerUnderTest, entry: ServerUnderTest]>;

async function withServers<Result>(
  measure: (apiServer: StartedServer, replicas: StartPair, scope: ReleaseStack) => Promise<Result>,
): Promise<Result> {
  const scope = new ReleaseStack();
  try {
    const [mariaDb, redis] = await Promise.all([startMariaDb(), startRedis()]);
    scope.push('redis', () => redis.stop());
    scope.push('mariadb', () => mariaDb.stop());
    const apiServer = await startApiServer();
    scope.push('API server', () => apiServer.child.stop());
    const replicas: StartPair = async (name) => {
      const [owner, entry] = await startReplicas(2, await createDatabase(mariaDb.url, name), redis.url, {
        keepAgents: true,
      });
      if (owner === undefined || entry === undefined) throw new Error('a replica was not started');
      for (const { child } of [owner, entry]) scope.push('replica', () => child.stop());
      return [owner, entry];
    };
    return await measure(apiServer, replicas, scope);
  } finally {
    await scope.close();
  }
}

async function startStack(
  apiServer: StartedServer,
  [owner, entry]: readonly [ServerUnderTest, ServerUnderTest],
  scope: ReleaseStack,
): Promise<Stack> {
  const bare = await startBareProxy(apiServer.baseUrl);
  scope.push('bare proxy', () => bare.child.stop());
  const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-bench-'));
  scope.push('files', () => rm(directory, { recursive: true }));
  const agent = await startAgent(directory, owner.agentsAddress, account, apiServer.baseUrl);
  scope.push('agent', () => agent.stop());
  const load = new Child('bench/api-load.ts', { execArgv: ['--import=tsx'] });
  scope.push('load', () => load.stop());
  const stack: Stack = {
    load,
    agent,
    baseUrls: {
      direct: apiServer.baseUrl,
      proxy: bare.baseUrl,
      local: accountUrl(owner, account),
      forwarded: accountUrl(entry, account),
    },
    processes: {
      direct: [],
      proxy: [bare.child],
      local: [owner.child],
      forwarded: [entry.child, owner.child],
    },
  };
  for (const route of apiRoutes) await answers(stack, route);
  return stack;
}

function accountUrl({ baseUrl }: StartedServer, name: string): string {
  return `${baseUrl}/kubernetes/accounts/${name}`;
}

function answers(stack: Stack, route: ApiRoute): Promise<unknown> {
  const ask = () => run(stack, { route, inFlight: 1 }, 1);
  return waitFor(ask, { timeoutMs: 20_000, intervalMs: 200, description: `an answer of the API server, ${route}` });
}

async function measureCases(
  stack: Stack,
  { rounds, warmUpMs, measureMs }: ApiAmounts,
): Promise<readonly ApiCaseReport[]> {
  for (const each of apiCases.filter(({ inFlight }) => inFlight > 1)) await run(stack, each, warmUpMs);
  const all = await inRounds(apiCases, rounds, (each) => measureCase(stack, each, measureMs));
  const measured = new Map(apiCases.map((each, index) => [each, all[index] ?? []]));
  const cost = ({ operations, cpuSeconds }: Measurement) => cpuSeconds / operations;
  return apiCases.map((each) => {
    const own = measured.get(each) ?? [];
    const [, bare = []] =
      [...measured].find(([{ route, inFlight }]) => isProxy(route) && inFlight === each.inFlight) ?? [];
    return {
      ...each,
      requestsPerSecond: median(own.map(({ operations, elapsedMs }) => (operations / elapsedMs) * 1_000)),
      requestsPerCpuSecond: each.route === 'direct' ? 0 : median(own.map((one) => 1 / cost(one))),
      ratio: each.route === 'direct' ? 0 : median(bare.map((one, round) => cost(one) / cost(own[round] ?? one))),
      agentMicroseconds: median(own.map(({ agentSeconds, operations }) => (agentSeconds / operations) * 1e6)),
      p50Ms: median(own.map(({ p50Ms }) => p50Ms)),
      p99Ms: median(own.map(({ p99Ms }) => p99Ms)),
    };
  });
}

function isProxy(route: ApiRoute): boolean {
  return route === 'proxy';
}

async function measureCase(stack: Stack, each: ApiCase, durationMs: number): Promise<Measurement> {
  const used = () => Promise.all([cpuSeconds(stack.processes[each.route]), cpuSeconds([stack.agent])]);
  const [before, agentBefore] = await used();
  const report = await run(stack, each, durationMs);
  const [after, agentAfter] = await used();
  return { ...report, cpuSeconds: after - before, agentSeconds: agentAfter - agentBefore };
}

async function cpuSeconds(processes: readonly Child[]): Promise<number> {
  const microseconds = await Promise.all(processes.map((child) => child.call<number>('cpu')));
  return microseconds.reduce((sum, each) => sum + each, 0) / 1e6;
}

function run({ load, baseUrls }: Stack, { route, inFlight }: ApiCase, durationMs: number): Promise<LoadReport> {
  const options: ApiLoadOptions = { baseUrl: baseUrls[route], inFlight, durationMs };
  return load.call<LoadReport>('run', options);
}

/** One list, in which each MiB counts as an operation. */
async function listAsMebibytes({ load, baseUrls }: Stack): Promise<{ readonly operations: number }> {
  await load.call<number>('list', { baseUrl: baseUrls.forwarded });
  return { operations: listBytes / 2 ** 20 };
}

async function measureLists(stack: Stack, rounds: number): Promise<readonly ApiListReport[]> {
  const all = await inRounds(listRoutes, rounds, (route) => measureList(stack, route));
  const measured = new Map(listRoutes.map((route, index) => [route, all[index] ?? []]));
  const bare = measured.get('proxy') ?? [];
  return listRoutes.map((route) => {
    const own = measured.get(route) ?? [];
    return {
      route,
      bytesPerSecond: median(own.map(({ seconds }) => listBytes / seconds)),
      ratio: median(bare.map(({ seconds }, round) => seconds / (own[round]?.seconds ?? Number.NaN))),
      residentGrowth: Math.max(...own.map(({ growth }) => growth)),
    };
  });
}

async function measureList(stack: Stack, route: ApiRoute): Promise<{ seconds: number; growth: number }> {
  const processes = stack.processes[route];
  for (const child of processes) await child.call('memory');
  const before = await Promise.all(processes.map(residentBytes));
  let growth = 0;
  const sample = async (): Promise<void> => {
    const now = await Promise.all(processes.map(residentBytes));
    growth = Math.max(growth, ...now.map((bytes, index) => bytes - (before[index] ?? 0)));
  };
  const timer = setInterval(() => void sample(), sampleMs);
  try {
    const milliseconds = await stack.load.call<number>('list', { baseUrl: stack.baseUrls[route] });
    await sample();
    return { seconds: milliseconds / 1_000, growth };
  } finally {
    clearInterval(timer);
  }
}

async function residentBytes({ pid }: Child): Promise<number> {
  const [, pages] = (await readFile(`/proc/${String(pid)}/statm`, 'utf8')).split(' ');
  return Number(pages) * pageBytes;
}

/** All are opened at the replica that does not hold the agents, so that both kinds of replicas have each of them. */
async function measureWatches(
  { baseUrl }: StartedServer,
  [owner, entry]: readonly [ServerUnderTest, ServerUnderTest],
  watches: number,
  scope: ReleaseStack,
): Promise<ApiWatchesReport> {
  const agents = new Child('bench/api-agents.ts', { execArgv: ['--import=tsx'] });
  scope.push('agents', () => agents.stop());
  const load = new Child('bench/api-load.ts', { execArgv: ['--import=tsx'] });
  scope.push('load', () => load.stop());
  const accounts = Array.from({ length: watchingAgents }, (_, index) => `account-${String(index)}`);
  const options: ApiAgentsOptions = { address: owner.agentsAddress, accounts, server: baseUrl };
  await agents.call('connect', options);
  const open = (count: number) => {
    const wanted: ApiWatchesOptions = { baseUrls: accounts.map((name) => accountUrl(entry, name)), watches: count };
    return load.call('watch', wanted);
  };
  const both = () => Promise.all([settled(owner), settled(entry)]);
  // What the first ones make it load and compile, the agents' streams, and the space for young objects, which grows to
  // its full size with the load and stays, are not of the watches.
  await open(watchingAgents);
  for (const replica of [owner, entry]) {
    const requests: ApiLoadOptions = { baseUrl: accountUrl(replica, 'account-0'), inFlight: 64, durationMs: 3_000 };
    await load.call('run', requests);
  }
  const [ownerBefore, entryBefore] = await both();
  await open(watches);
  const [ownerAfter, entryAfter] = await both();
  const left = await load.call<number>('watched');
  if (left < watches + watchingAgents) throw new Error(`of ${watches + watchingAgents} watches ${left} are still open`);
  return {
    watches,
    agents: watchingAgents,
    ownerBytes: (ownerAfter.rss - ownerBefore.rss) / watches,
    entryBytes: (entryAfter.rss - entryBefore.rss) / watches,
  };
}
