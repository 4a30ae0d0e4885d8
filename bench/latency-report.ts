/** The tables of latency and of the steps of an operation, and their targets. */

import type { LatencyReport, TraceReport } from './latency.js';
import { content, table, type Target } from './report.js';

export function latencyTable(reports: readonly LatencyReport[]): string {
  return table(
    [
      ['one in flight', 'operation', 'p50 ms', 'p99 ms', 'p99 / p50'],
      ...reports.map(({ route, kind, p50Ms, p99Ms }) => [
        route,
        content[kind],
        p50Ms.toFixed(2),
        p99Ms.toFixed(2),
        (p99Ms / p50Ms).toFixed(1),
      ]),
    ],
    2,
  );
}

/** One table for each route: when a step is reached, and how long after the step before it. */
export function traceTables(reports: readonly TraceReport[]): string {
  return reports.map(traceTable).join('\n\n');
}

function traceTable({ kind, route, operations, steps, missing }: TraceReport): string {
  const rows = steps.map(({ process, step, reachedAt }, index) => [
    process,
    step,
    (reachedAt - (steps[index - 1]?.reachedAt ?? 0)).toFixed(0),
    reachedAt.toFixed(0),
  ]);
  const title = `${route}, ${content[kind]}: medians of ${String(operations)} operations`;
  const notFound = missing.length === 0 ? '' : `\n\nnot traced, because it is not there: ${missing.join(', ')}`;
  return `${title}\n\n${table([['process', 'step', 'µs', 'at µs'], ...rows], 2)}${notFound}`;
}

/** Of read-only operations that are forwarded, in JSON. */
export function latencyTargets(reports: readonly LatencyReport[]): readonly Target[] {
  const forwarded = reports.find(({ route, kind }) => route === 'forwarded' && kind === 'list');
  const { p50Ms = Number.NaN, p99Ms = Number.NaN } = forwarded ?? {};
  const most = (name: string, value: number, limit: number, unit: string): Target => ({
    name: `one forwarded operation in flight, ${name}`,
    ...{ value, limit, unit, least: false, digits: 2 },
  });
  return [most('p50', p50Ms, 1.1, 'ms'), most('p99 / p50', p99Ms / p50Ms, 3, 'times')];
}
