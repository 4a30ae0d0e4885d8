/** The report as Markdown that reads well in a terminal too, and the targets. */

import type { CachingReport } from './caching.js';
import type { MemoryReport } from './memory.js';
import type { Form, Kind } from './operations.js';
import type { OwnershipReport } from './ownership.js';
import type { CaseReport, Route } from './throughput.js';
import type { WatchingReport } from './watching-agent.js';

export interface Report {
  readonly throughput: readonly CaseReport[];
  readonly memory: MemoryReport;
  /** Of agents that have a stream of cached objects, too. */
  /** Of agents whose Kubernetes API nobody can ask. */
  readonly memoryWithoutApi: MemoryReport;
  readonly cachingMemory: MemoryReport;
  readonly ownership: OwnershipReport;
  readonly ownershipAccounts: number;
}

export interface Target {
  readonly name: string;
  readonly value: number;
  readonly limit: number;
  readonly least: boolean;
  readonly unit: string;
  /** After the decimal point; default 0. */
  readonly digits?: number;
}

export const content = { list: 'read-only (list)', deploy: 'durable (deploy)' } as const;

export function throughputTable(throughput: readonly CaseReport[]): string {
  const rows = throughput.map((each) => [
    each.route,
    content[each.kind],
    each.form,
    whole(each.operationsPerSecond),
    whole(each.operationsPerCpuSecond),
    percent(each.ratio),
    each.p50Ms.toFixed(1),
    each.p99Ms.toFixed(1),
  ]);
  const head = ['stack', 'operation', 'form', 'ops/s', 'ops/CPU s', 'of bare', 'p50 ms', 'p99 ms'];
  return table([head, ...rows], 3);
}

/** What an operation costs the database, whose CPU time is not counted above. */
export function databaseTable(throughput: readonly CaseReport[]): string {
  const rows = throughput
    .filter(({ route }) => route !== 'bare')
    .map(({ route, kind, form, operations, database }) => [
      route,
      content[kind],
      form,
      whole((database.cpuSeconds * 1e6) / operations),
      (database.statements / operations).toFixed(3),
      whole(database.bytesReceived / operations),
      whole(database.bytesSent / operations),
    ]);
  const head = ['MariaDB, each', 'operation', 'form', 'CPU µs', 'statements', 'bytes in', 'bytes out'];
  return table([head, ...rows], 3);
}

export function memoryTable({ memory, memoryWithoutApi, cachingMemory, ownership, ownershipAccounts }: Report): string {
  return table(
    [
      ['memory and look-up', 'value'],
      [`resident set per idle agent, ${whole(memory.agents)} agents`, `${kibibytes(memory.residentBytesPerAgent)} KiB`],
      [`of that JavaScript heap and buffers`, `${kibibytes(memory.heapBytesPerAgent)} KiB`],
      [`resident set with \`apiAccess: off\``, `${kibibytes(memoryWithoutApi.residentBytesPerAgent)} KiB`],
      [`resident set per agent that caches, too`, `${kibibytes(cachingMemory.residentBytesPerAgent)} KiB`],
      [`ownership per account, ${whole(ownershipAccounts)} accounts`, `${whole(ownership.bytesPerAccount)} bytes`],
      [`owner look-up, ${whole(ownershipAccounts)} accounts`, `${whole(ownership.lookUpNanoseconds)} ns`],
    ],
    1,
  );
}

/** Of operations per CPU second, in JSON, which the bare stack has too; the text format is compared with JSON. */
export function targetsOf({ throughput, memory, ownership }: Report): readonly Target[] {
  const ratio = (kind: Kind, route: Route, form: Form): number =>
    100 * (throughput.find((each) => each.kind === kind && each.route === route && each.form === form)?.ratio ?? 0);
  const least = (name: string, value: number, limit: number): Target => ({
    name,
    value,
    limit,
    least: true,
    unit: '%',
  });
  const most = (name: string, value: number, limit: number, unit: string): Target => ({
    ...{ name, value, limit, unit, least: false },
  });
  return [
    least('local, of bare', ratio('list', 'local', 'json'), 85),
    least('forwarded, of bare', ratio('list', 'forwarded', 'json'), 60),
    least('durable local, of bare', ratio('deploy', 'local', 'json'), 60),
    least('durable forwarded, of bare', ratio('deploy', 'forwarded', 'json'), 45),
    least('local, text of JSON', (100 * ratio('list', 'local', 'text')) / ratio('list', 'local', 'json'), 90),
    most('idle agent', memory.residentBytesPerAgent / 1_024, 40, 'KiB'),
    most('account', ownership.bytesPerAccount, 300, 'bytes'),
  ];
}

/** One column for each engine. */
export function cachingTable(reports: readonly CachingReport[]): string {
  const { agents = 0, objects = 0, objectBytes = 0 } = reports[0] ?? {};
  const each = (seconds: number) => whole((seconds * 1e6) / (agents * objects));
  const row = (name: string, value: (report: CachingReport) => string) => [name, ...reports.map(value)];
  return table(
    [
      row(
        `cached objects: ${whole(agents * objects)} of ${kibibytes(objectBytes)} KiB from ${whole(agents)} agents`,
        ({ engine }) => engine,
      ),
      row('committed through the gateway', ({ objectsPerSecond }) => `${whole(objectsPerSecond)} objects/s`),
      row('the same rows by multi-row upserts alone', ({ rawPerSecond }) => `${whole(rawPerSecond)} objects/s`),
      row('of raw upserts', ({ objectsPerSecond, rawPerSecond }) => percent(objectsPerSecond / rawPerSecond)),
      row(
        'CPU time of gateway, database, agents',
        ({ cpu }) => `${each(cpu.gateway)}, ${each(cpu.database)}, ${each(cpu.agents)} µs per object`,
      ),
      row('resident set of the gateway, peak', ({ peakResidentBytes }) => `${whole(peakResidentBytes / 2 ** 20)} MiB`),
    ],
    1,
  );
}

export function cachingTargets(reports: readonly CachingReport[]): readonly Target[] {
  return reports.flatMap(({ engine, objectsPerSecond, rawPerSecond, peakResidentBytes }): Target[] => [
    {
      name: `cached objects, of raw upserts, ${engine}`,
      value: (100 * objectsPerSecond) / rawPerSecond,
      limit: 85,
      least: true,
      unit: '%',
    },
    {
      name: `peak memory while caching, ${engine}`,
      value: peakResidentBytes / 2 ** 20,
      limit: 512,
      least: false,
      unit: 'MiB',
    },
  ]);
}

export function watchingTable(report: WatchingReport): string {
  const { objects, kinds, objectBytes, seconds, residentBytes, peakResidentBytes } = report;
  const { cutSeconds, listsBefore, listsAfterCut, caughtUpSeconds } = report;
  return table(
    [
      [`an agent: ${whole(objects)} objects of ${kibibytes(objectBytes)} KiB in ${whole(kinds)} kinds`, 'value'],
      ['everything listed and stored', `${seconds.toFixed(1)} s`],
      ['resident set, peak', `${whole(peakResidentBytes / 2 ** 20)} MiB`],
      ['resident set, watching', `${whole(residentBytes / 2 ** 20)} MiB`],
      ['lists at the start', whole(listsBefore)],
      [`lists after a cut of ${whole(cutSeconds)} s`, whole(listsAfterCut)],
      ['what changed meanwhile stored, after the cut', `${caughtUpSeconds.toFixed(1)} s`],
    ],
    1,
  );
}

export function watchingTargets({ peakResidentBytes, listsAfterCut }: WatchingReport): readonly Target[] {
  return [
    { name: 'memory of an agent, peak', value: peakResidentBytes / 2 ** 20, limit: 150, least: false, unit: 'MiB' },
    { name: 'lists after a cut', value: listsAfterCut, limit: 0, least: false, unit: 'lists' },
  ];
}

export function isMet({ value, limit, least }: Target): boolean {
  return least ? value >= limit : value <= limit;
}

export function targetLine(target: Target): string {
  const { name, value, limit, least, unit, digits = 0 } = target;
  return `${isMet(target) ? 'met   ' : 'MISSED'}  ${name}: ${value.toFixed(digits)} ${unit} (target ${least ? '>=' : '<='} ${limit})`;
}

/** A Markdown table with aligned columns; those from `firstNumber` on are numbers. */
export function table(rows: readonly (readonly string[])[], firstNumber: number): string {
  const [head = []] = rows;
  const widths = head.map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const pad = (cell: string, column: number) =>
    column < firstNumber ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  const rule = line(widths.map((width, column) => '-'.repeat(width - 1) + (column < firstNumber ? '-' : ':')));
  const [first = '', ...others] = rows.map((row) => line(row.map(pad)));
  return [first, rule, ...others].join('\n');
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function percent(value: number): string {
  return `${(100 * value).toFixed(0)} %`;
}

function kibibytes(bytes: number): string {
  return (bytes / 1_024).toFixed(1);
}
