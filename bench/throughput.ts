/**
 * Operations per second and per second of server CPU: the gateway's cases beside the bare stack, interleaved in rounds, so
 * that whatever else the machine does meets all of them alike. Ratios are taken within a round; medians over rounds.
 */

import { Child } from './child.js';
import type { LoadOptions, LoadReport } from './load.js';
import { kinds, type Form, type Kind } from './operations.js';
import { inRounds } from './rounds.js';
import { differenceOf, sumOf, type DatabaseUse } from './server-counters.js';
import type { ServerUnderTest } from './servers.js';

/** `forwarded`: the replica that is asked does not hold the agent. */
export type Route = 'bare' | 'local' | 'forwarded';

export interface Case {
  readonly kind: Kind;
  readonly form: Form;
  readonly route: Route;
}

export interface Servers {
  readonly bare: ServerUnderTest;
  /** Holds every agent. */
  readonly owner: ServerUnderTest;
  readonly entry: ServerUnderTest;
  /** What their database has done so far. */
  readonly databaseUse: () => Promise<DatabaseUse>;
}

export interface ThroughputOptions {
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** Medians over the rounds. */
export interface CaseReport extends Case {
  readonly operationsPerSecond: number;
  readonly operationsPerCpuSecond: number;
  /** Operations per CPU second, as a part of the bare stack's in the same round. */
  readonly ratio: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Over all rounds. */
  readonly operations: number;
  /** Of all operations of all rounds. */
  readonly database: DatabaseUse;
}

interface Measurement extends LoadReport {
  readonly cpuSeconds: number;
  readonly database: DatabaseUse;
}

export const inFlight = 64;
export const agents = 100;
export const accounts = Array.from({ length: agents }, (_, index) => `account-${index}`);
const maximumOperations = 100_000;

export const cases: readonly Case[] = kinds.flatMap((kind): Case[] => [
  { kind, form: 'json', route: 'bare' },
  { kind, form: 'json', route: 'local' },
  { kind, form: 'text', route: 'local' },
  { kind, form: 'json', route: 'forwarded' },
  { kind, form: 'text', route: 'forwarded' },
]);

/** Agents for both stacks, and the load generator; to be stopped by the caller. */
export async function startWorkers({ bare, owner }: Servers): Promise<{ load: Child; agents: Child }> {
  const load = new Child('bench/load.ts', { execArgv: ['--import=tsx'] });
  const agents = new Child('bench/echo-agents.ts', { execArgv: ['--import=tsx'] });
  for (const { agentsAddress } of [bare, owner]) await agents.call('connect', { address: agentsAddress, accounts });
  return { load, agents };
}

export async function measureThroughput(
  servers: Servers,
  load: Child,
  { rounds, warmUpMs, measureMs }: ThroughputOptions,
): Promise<CaseReport[]> {
  for (const each of cases) await run(servers, load, each, warmUpMs);
  const measured = await inRounds(cases, rounds, (each) => measure(servers, load, each, measureMs));
  return cases.map((each, index) => {
    const own = measured[index] ?? [];
    const bare = measured[cases.findIndex(({ kind, route }) => kind === each.kind && route === 'bare')] ?? [];
    const perCpuSecond = own.map(({ operations, cpuSeconds }) => operations / cpuSeconds);
    return {
      ...each,
      operationsPerSecond: median(own.map(({ operations, elapsedMs }) => (operations / elapsedMs) * 1_000)),
      operationsPerCpuSecond: median(perCpuSecond),
      ratio: median(
        bare.map(({ operations, cpuSeconds }, round) => ((perCpuSecond[round] ?? 0) * cpuSeconds) / operations),
      ),
      p50Ms: median(own.map(({ p50Ms }) => p50Ms)),
      p99Ms: median(own.map(({ p99Ms }) => p99Ms)),
      operations: own.reduce((sum, { operations }) => sum + operations, 0),
      database: sumOf(own.map(({ database }) => database)),
    };
  });
}

/** The processes whose CPU time an operation of this route costs. */
export function serversOf({ bare, owner, entry }: Servers, route: Route): ServerUnderTest[] {
  if (route === 'bare') return [bare];
  return route === 'local' ? [owner] : [entry, owner];
}

/** Of operations. */
export function pathOf(route: Route): string {
  return route === 'bare' ? '/echo' : '/armory/agent/operations';
}

async function measure(servers: Servers, load: Child, each: Case, durationMs: number): Promise<Measurement> {
  const processes = serversOf(servers, each.route).map(({ child }) => child);
  const cpu = async () => {
    const microseconds = await Promise.all(processes.map((child) => child.call<number>('cpu')));
    return microseconds.reduce((sum, one) => sum + one, 0) / 1_000_000;
  };
  const databaseBefore = await servers.databaseUse();
  const before = await cpu();
  const report = await run(servers, load, each, durationMs);
  const cpuSeconds = (await cpu()) - before;
  return { ...report, cpuSeconds, database: differenceOf(await servers.databaseUse(), databaseBefore) };
}

export function run(servers: Servers, load: Child, each: Case, durationMs: number): Promise<LoadReport> {
  const { kind, form, route } = each;
  const [asked] = serversOf(servers, route);
  const path = pathOf(route);
  const baseUrl = asked?.baseUrl ?? '';
  const options: LoadOptions = { baseUrl, path, kind, form, accounts, inFlight, durationMs, maximumOperations };
  return load.call<LoadReport>('run', options);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
