/**
 * Latency with one operation in flight: of the bare stack, of the owner asked and of another replica asked; and where the
 * time of such an operation goes, step by step, through all processes.
 */

import type { Child } from './child.js';
import type { LatencyLoadOptions } from './latency-load.js';
import type { LoadReport } from './load.js';
import { inRounds } from './rounds.js';
import type { Kind } from './operations.js';
import { accounts, median, pathOf, serversOf, type Route, type Servers } from './throughput.js';

export interface LatencyAmounts {
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Operations of each trace. */
  readonly traced: number;
}

export interface LatencyWorkers {
  /** latency-load.ts */
  readonly caller: Child;
  /** echo-agents.ts */
  readonly agents: Child;
}

export interface LatencyCase {
  readonly kind: Kind;
  readonly route: Route;
}

/** Medians over the rounds. */
export interface LatencyReport extends LatencyCase {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Over all rounds. */
  readonly operations: number;
}

/** A step of an operation, in the order in which they are reached. */
export interface Step {
  readonly process: string;
  readonly step: string;
  /** Since the caller began to write its request, in µs: the median of all operations. */
  readonly reachedAt: number;
}

export interface TraceReport extends LatencyCase {
  readonly operations: number;
  readonly steps: readonly Step[];
  /** Methods that are not there any more, so that their steps are missing. */
  readonly missing: readonly string[];
}

interface Mark {
  readonly process: string;
  readonly step: string;
  readonly at: number;
}

const latencyKinds: readonly Kind[] = ['list', 'deploy'];
export const latencyCases: readonly LatencyCase[] = latencyKinds.flatMap((kind) =>
  (['bare', 'local', 'forwarded'] as const).map((route) => ({ kind, route })),
);
const firstStep = 'request written';
/** What is compiled while the first traced operations run is not of interest. */
const leftOut = 0.25;
const noLimit = 1_000_000;
const traceTimeoutMs = 30_000;
/** Between two traced operations: what follows the answer is then over when the next operation begins. */
const tracePauseMs = 2;

export async function measureLatency(
  servers: Servers,
  { caller }: LatencyWorkers,
  { rounds, warmUpMs, measureMs }: LatencyAmounts,
): Promise<LatencyReport[]> {
  for (const each of latencyCases) await run(servers, caller, each, { durationMs: warmUpMs });
  const measured = await inRounds(latencyCases, rounds, (each) =>
    run(servers, caller, each, { durationMs: measureMs }),
  );
  return latencyCases.map((each, index) => {
    const own = measured[index] ?? [];
    return {
      ...each,
      p50Ms: median(own.map(({ p50Ms }) => p50Ms)),
      p99Ms: median(own.map(({ p99Ms }) => p99Ms)),
      operations: own.reduce((sum, { operations }) => sum + operations, 0),
    };
  });
}

/** To be called after measureLatency(): servers that were traced once are a little slower afterwards. */
export async function traceOperations(
  servers: Servers,
  { caller, agents }: LatencyWorkers,
  { traced }: LatencyAmounts,
): Promise<TraceReport[]> {
  const reports: TraceReport[] = [];
  for (const each of latencyCases) {
    const names = each.route === 'forwarded' ? ['entry', 'owner'] : [each.route === 'bare' ? 'bare' : 'replica'];
    const processes: [string, Child][] = serversOf(servers, each.route).map(({ child }, index) => [
      names[index] ?? '',
      child,
    ]);
    processes.push(['caller', caller], ['agent', agents]);
    const missing = await Promise.all(processes.map(([, child]) => child.call<string[]>('startTrace')));
    const limits = { durationMs: traceTimeoutMs, maximumOperations: traced, pauseMs: tracePauseMs };
    await run(servers, caller, each, limits);
    const marks = await Promise.all(processes.map(([name, child]) => marksOf(name, child)));
    reports.push({ ...each, ...stepsOf(marks.flat()), missing: missing.flat() });
  }
  return reports;
}

async function marksOf(name: string, child: Child): Promise<Mark[]> {
  const noted = await child.call<(string | number)[]>('stopTrace');
  const marks: Mark[] = [];
  for (let index = 0; index < noted.length; index += 2) {
    marks.push({ process: name, step: String(noted[index]), at: Number(noted[index + 1]) });
  }
  return marks;
}

/** One operation is in flight, so all marks from one request to the next are of the same operation. */
function stepsOf(marks: readonly Mark[]): Pick<TraceReport, 'operations' | 'steps'> {
  const sorted = marks.toSorted((one, other) => one.at - other.at);
  const operations: Map<string, number>[] = [];
  const names = new Map<string, Pick<Step, 'process' | 'step'>>();
  let startedAt = 0;
  for (const { process, step, at } of sorted) {
    if (step === firstStep) {
      operations.push(new Map());
      startedAt = at;
    }
    const key = `${process}\n${step}`;
    const reached = operations.at(-1);
    // Only the first time counts: a statement that follows is of the next operation's record, for example.
    if (reached === undefined || reached.has(key)) continue;
    reached.set(key, at - startedAt);
    names.set(key, { process, step });
  }
  const counted = operations.slice(Math.floor(operations.length * leftOut));
  const steps = [...names].flatMap(([key, name]): Step[] => {
    const times = counted.flatMap((reached) => reached.get(key) ?? []);
    // What happens for some operations only, such as records that are written together, is no step of each.
    return times.length < counted.length / 2 ? [] : [{ ...name, reachedAt: median(times) }];
  });
  steps.sort((one, other) => one.reachedAt - other.reachedAt);
  return { operations: counted.length, steps };
}

function run(
  servers: Servers,
  caller: Child,
  { kind, route }: LatencyCase,
  limits: Pick<LatencyLoadOptions, 'durationMs'> & Partial<LatencyLoadOptions>,
): Promise<LoadReport> {
  const [asked] = serversOf(servers, route);
  const url = `${asked?.baseUrl ?? ''}${pathOf(route)}`;
  const options: LatencyLoadOptions = {
    ...{ url, kind, form: 'json', accounts, maximumOperations: noLimit, pauseMs: 0 },
    ...limits,
  };
  return caller.call<LoadReport>('run', options);
}
