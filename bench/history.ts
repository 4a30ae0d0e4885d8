/** The list of operations over a large history: the time and the plan of each filter, on MariaDB and PostgreSQL. */

import { performance } from 'node:perf_hooks';
import { sql, type Kysely } from 'kysely';
import { silentLogger } from '../src/core/logger.js';
import { migrate } from '../src/store/migrations/migrate.js';
import type { FinishedOperation, OperationFilter } from '../src/store/operations/operation-record.js';
import { OperationStore } from '../src/store/operations/operations.js';
import { openDatabase, type Database } from '../src/store/sql/database.js';
import type { Schema } from '../src/store/sql/schema.js';
import type { Target } from './report.js';

export interface HistoryReport {
  readonly engine: string;
  readonly rows: number;
  readonly migrationSeconds: number;
  /** Records written per second, with no index but the key's and the one by time, and with all. */
  readonly barePerSecond: number;
  readonly perSecond: number;
  readonly filters: readonly FilterReport[];
}

interface FilterReport {
  readonly name: string;
  readonly found: number;
  /** Whether the answer says where the search goes on. */
  readonly goesOn: boolean;
  /** Median and longest of all runs, in ms. */
  readonly medianMs: number;
  readonly longestMs: number;
  /** The index of each statement, by the server's EXPLAIN. */
  readonly indexes: string;
}

const migration = '0007-operation-objects';
const runs = 5;
const limitMs = 200;
const hourMs = 3_600_000;
const chunk = 500_000;
/** In ms: ten a second. */
const between = 100;
const batchSize = 500;
const writtenBatches = 60;
/** What the ids of records begin with that are written to measure writing. */
const newId = '01ARZ3NDEKTSV5';
/** Their indexes are made after the table is filled. */
const indexedColumns = [
  'account',
  'final_outcome',
  'operation_type',
  'resource',
  'namespace',
  'object_name',
  'caller',
  'sent_to_agent_id',
];
/** Common ones, rare ones, and pairs of which each matches much, and both together little or nothing. */
function filters(end: number): Readonly<Record<string, Partial<OperationFilter>>> {
  return {
    'no filter': {},
    account: { account: 'account-7' },
    'outcome failed': { outcomes: ['failed'] },
    'all but completed': { outcomes: ['failed', 'timed out', 'cancelled', 'agent lost', 'refused'] },
    type: { type: 'type-3' },
    kind: { resources: ['resource-5', 'resource-5s'] },
    namespace: { namespace: 'namespace-11' },
    name: { name: 'name-77' },
    'name that never occurs': { name: 'nothing' },
    'caller of 3 rows': { caller: 'rare' },
    'caller of 3 rows, completed': { caller: 'rare', outcomes: ['completed'] },
    'name that never occurs, failed or timed out': { name: 'nothing', outcomes: ['failed', 'timed out'] },
    agent: { agentId: 'agent-12' },
    replica: { instanceId: 'replica-1' },
    'replica that never occurs': { instanceId: 'nothing' },
    'replica and failed': { instanceId: 'replica-1', outcomes: ['failed'] },
    'an hour': { since: end - 10 * hourMs, until: end - 9 * hourMs },
    'an hour, failed': { since: end - 10 * hourMs, until: end - 9 * hourMs, outcomes: ['failed'] },
    'kind and failed': { resources: ['resource-5'], outcomes: ['failed'] },
    'caller, kind, namespace, failed': {
      caller: 'caller-3',
      resources: ['resource-3'],
      namespace: 'namespace-3',
      outcomes: ['failed'],
    },
    'two that exclude each other': { resources: ['resource-5'], caller: 'caller-4' },
    'cancelled, which a type never is': { type: 'type-3', outcomes: ['cancelled'] },
    'text in new rows': { search: 'ount-77' },
    'text that never occurs': { search: 'nothing' },
    'text in failures': { search: 'no space', outcomes: ['failed'] },
  };
}

/** A database with `rows` operations, of which the newest has just ended. */
export interface FilledHistory {
  readonly database: Database;
  readonly rows: number;
  /** When the newest operation started, in ms UTC. */
  readonly end: number;
  /** Records per second, with no index but the key's and the one by time. */
  readonly barePerSecond: number;
  readonly migrationSeconds: number;
}

/** @param say progress, a line at a time */
export async function fillHistory(url: string, rows: number, say: (text: string) => void): Promise<FilledHistory> {
  const database = openDatabase({ url, maxPoolSize: 8, connectionTimeoutMs: 10_000, queryTimeoutMs: 3_600_000 });
  const signal = new AbortController().signal;
  await migrate(database, { logger: silentLogger, signal });
  await dropIndexes(database, indexedColumns);
  say(`${database.engine}: ${String(rows)} rows ...`);
  const end = Date.now();
  for (let from = 0; from < rows; from += chunk) {
    await database.run((db) => fill(db, database.engine, end - rows * between, from, Math.min(rows, from + chunk)));
  }
  const barePerSecond = await measureWrites(database, rows, end);
  say(`${database.engine}: indexes ...`);
  const migrationSeconds = await timed(async () => {
    await database.run((db) => db.deleteFrom('kubesvc_migrations').where('name', '=', migration).execute());
    await migrate(database, { logger: silentLogger, signal });
  });
  const analyze =
    database.engine === 'mysql' ? sql`analyze table kubesvc_ops_history` : sql`vacuum analyze kubesvc_ops_history`;
  await database.run((db) => analyze.execute(db));
  return { database, rows, end, barePerSecond, migrationSeconds: migrationSeconds / 1_000 };
}

export async function measureHistory({ database, rows, end, ...filled }: FilledHistory): Promise<HistoryReport> {
  const measured: FilterReport[] = [];
  for (const [name, filter] of Object.entries(filters(end))) measured.push(await measureFilter(database, name, filter));
  const store = new OperationStore(database);
  measured.push(await measureSummary('accounts that fail (attention)', async () => (await store.failures()).total));
  measured.push(
    await measureSummary(
      'outcomes by minute (console)',
      async () => (await store.outcomeCounts(end - hourMs, 60_000)).length,
    ),
  );
  await failForAnHour(database, end);
  measured.push(
    await measureSummary('accounts that fail, if all operations do', async () => (await store.failures()).total),
  );
  const perSecond = await measureWrites(database, rows, end);
  return { engine: database.engine, rows, ...filled, perSecond, filters: measured };
}

/** Records per second, as replicas write them: 500 in one statement; the median, deleted afterwards. */
async function measureWrites(database: Database, rows: number, end: number): Promise<number> {
  const store = new OperationStore(database);
  const times: number[] = [];
  for (let batch = 0; batch < writtenBatches; batch += 1) {
    const records = Array.from({ length: batchSize }, (_, index) => newRecord(rows + batch * batchSize + index, end));
    times.push(await timed(() => store.note(records)));
  }
  await database.run((db) => db.deleteFrom('kubesvc_ops_history').where('operation_id', 'like', `${newId}%`).execute());
  return (batchSize * 1_000) / median(times);
}

function newRecord(n: number, startTime: number): FinishedOperation {
  const agentId = `agent-${String((n * 7919) % 1000)}`;
  return {
    operationId: `${newId}${String(n).padStart(12, '0')}`,
    operationType: `type-${String(n % 12)}`,
    account: `account-${String((n * 7919) % 1000)}`,
    startTime,
    endTime: startTime + 200,
    finalOutcome: n % 50 === 1 ? 'failed' : 'completed',
    receivedBy: { instanceId: `replica-${String(n % 3)}`, time: startTime },
    processedBy: { instanceId: `replica-${String(Math.floor(n / 3) % 3)}`, time: startTime },
    sentToAgent: { agentId, time: startTime },
    resultReceivedFromAgent: { agentId, instanceId: 'replica-0', time: startTime, status: 0, durationMs: 150 },
    digest: 'zvQLpmTHgl8ZbR7Qm0kQ0b2n2vTn9iS5kQ0b2n2vTn8',
    caller: `caller-${String(n % 40)}`,
    object: {
      group: 'apps',
      kind: 'Deployment',
      resource: `resource-${String(n % 20)}`,
      namespace: `namespace-${String((n * 31) % 200)}`,
      name: `name-${String((n * 127) % 5000)}`,
    },
  };
}

/** The worst that can be to read: many failures, and no operation that completed after them. */
async function failForAnHour(database: Database, end: number): Promise<void> {
  const change = { final_outcome: 'failed', error_message: 'no space left on device' };
  await database.run((db) =>
    db
      .updateTable('kubesvc_ops_history')
      .set(change)
      .where('start_time', '>', end - hourMs)
      .execute(),
  );
}

async function measureSummary(name: string, read: () => Promise<number>): Promise<FilterReport> {
  const times: number[] = [];
  let found = 0;
  for (let run = 0; run < runs; run += 1) times.push(await timed(async () => (found = await read())));
  return { name, found, goesOn: false, medianMs: median(times), longestMs: Math.max(...times), indexes: '' };
}

async function measureFilter(
  database: Database,
  name: string,
  filter: Partial<OperationFilter>,
): Promise<FilterReport> {
  const store = new OperationStore(database);
  const times: number[] = [];
  let found = 0;
  let goesOn = false;
  for (let run = 0; run < runs; run += 1) {
    times.push(
      await timed(async () => {
        const { records, next } = await store.page({ items: 50, ...filter });
        found = records.length;
        goesOn = next !== undefined;
      }),
    );
  }
  const indexes = await explained(database, filter);
  return { name, found, goesOn, medianMs: median(times), longestMs: Math.max(...times), indexes };
}

/** What the server says about each statement that the list sends. */
async function explained(database: Database, filter: Partial<OperationFilter>): Promise<string> {
  const used = new Set<string>();
  await database.run(async (db) => {
    const statements: { readonly sql: string; readonly parameters: readonly unknown[] }[] = [];
    const listening = db.withPlugin({
      transformQuery: ({ node, queryId }) => {
        statements.push(db.getExecutor().compileQuery(node, queryId));
        return node;
      },
      transformResult: ({ result }) => Promise.resolve(result),
    });
    const { selectPage } = await import('../src/store/operations/search-statements.js');
    await selectPage(listening, { items: 50, ...filter });
    for (const { sql: text, parameters } of statements) {
      const { rows } = await db.executeQuery<Record<string, unknown>>({
        query: { kind: 'RawNode', sqlFragments: [], parameters: [] } as never,
        queryId: { queryId: 'explain' },
        sql: `explain ${text}`,
        parameters,
      });
      for (const row of rows) {
        const [, index] = /kubesvc_ops_history_(\w+?)_idx/u.exec(JSON.stringify(row)) ?? [];
        if (index !== undefined) used.add(index);
        if (/Seq Scan on kubesvc_ops_history|"type":"ALL".*kubesvc_ops_history/u.test(JSON.stringify(row)))
          used.add('ALL');
      }
    }
  });
  return [...used].join(' ');
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

async function dropIndexes(database: Database, columns: readonly string[]): Promise<void> {
  for (const column of columns) {
    const name = sql.id(`kubesvc_ops_history_${column}_start_time`.slice(0, 56) + '_idx');
    const drop = database.engine === 'mysql' ? sql`drop index ${name} on kubesvc_ops_history` : sql`drop index ${name}`;
    await database.run((db) => drop.execute(db));
  }
}

/** Rows whose columns depend on their number in different ways, so that most combinations occur. */
async function fill(
  db: Kysely<Schema>,
  engine: Database['engine'],
  start: number,
  from: number,
  to: number,
): Promise<void> {
  const isMySql = engine === 'mysql';
  const numbers = isMySql
    ? sql.raw(`(select seq as n from seq_${String(from + 1)}_to_${String(to)}) s`)
    : sql.raw(`(select n from generate_series(${String(from + 1)}::bigint, ${String(to)}) n) s`);
  const text = (prefix: string, number: string) => sql.raw(`concat('${prefix}', ${number})`);
  const div = isMySql ? 'div' : '/';
  const outcome = sql.raw(
    `case when n % 50 = 1 then 'failed' when n % 150 = 2 then 'timed out' when n % 1000 = 3 then 'agent lost'
      when n % 12 <> 3 and n % 500 = 4 then 'cancelled' when n % 300 = 5 then 'refused' else 'completed' end`,
  );
  await sql`insert into kubesvc_ops_history (operation_id, start_time, end_time, total_duration_ms, final_outcome, account,
      operation_type, received_by_cd_id, received_by_cd_time, processed_by_cd_id, processed_by_cd_time, sent_to_agent_id,
      sent_to_agent_time, digest, error_message, caller, api_group, kind, resource, namespace, object_name)
    select concat('01ARZ3NDEKTSV4', lpad(${sql.raw(isMySql ? 'n' : 'n::text')}, 12, '0')),
      ${sql.lit(start)} + n * ${sql.lit(between)}, ${sql.lit(start)} + n * ${sql.lit(between)} + 200, 200, ${outcome},
      ${text('account-', `(n * 7919) % 1000`)}, ${text('type-', 'n % 12')}, ${text('replica-', 'n % 3')},
      ${sql.lit(start)} + n * ${sql.lit(between)}, ${text('replica-', `(n ${div} 3) % 3`)},
      ${sql.lit(start)} + n * ${sql.lit(between)}, ${text('agent-', `(n * 7919) % 1000`)},
      ${sql.lit(start)} + n * ${sql.lit(between)}, 'zvQLpmTHgl8ZbR7Qm0kQ0b2n2vTn9iS5kQ0b2n2vTn8',
      case when n % 50 = 1 then concat('the API server answered 500: no space left on device, write ', n) end,
      case when n % 4000000 = 1000003 or n = 7 then 'rare' else concat('caller-', n % 40) end, 'apps', 'Deployment',
      ${text('resource-', 'n % 20')}, ${text('namespace-', `(n * 31) % 200`)}, ${text('name-', `(n * 127) % 5000`)}
    from ${numbers}`.execute(db);
}

export function historyTable(report: HistoryReport): string {
  const { engine, rows, migrationSeconds, barePerSecond, perSecond, filters: measured } = report;
  const writes = `${perSecond.toFixed(0)} records written per second (${barePerSecond.toFixed(0)} with the index by time alone)`;
  const head = `${engine}, ${String(rows)} rows; the migration took ${migrationSeconds.toFixed(0)} s; ${writes}\n`;
  const lines = measured.map(
    ({ name, found, goesOn, medianMs, longestMs, indexes }) =>
      `| ${name} | ${String(found)}${goesOn && found < 50 ? ', goes on' : ''} | ${medianMs.toFixed(1)} | ${longestMs.toFixed(1)} | ${indexes} |`,
  );
  return [head, '| filter | found | median ms | longest ms | indexes |', '|---|---|---|---|---|', ...lines].join('\n');
}

export function historyTargets({ engine, filters: measured }: HistoryReport): readonly Target[] {
  return measured.map(({ name, medianMs }) => ({
    name: `${engine}: ${name}`,
    value: medianMs,
    limit: limitMs,
    least: false,
    unit: 'ms',
  }));
}
