/**
 * The list of operations, searched: pending and ended ones together, newest first.
 *
 * Nearly every filter has an index of its own (column, start_time), so one filter alone costs as much as the page. That
 * of the replica has none, because a replica handles a large part of all operations: it is looked for by time. Several
 * filters can match few rows although each matches millions, which no index helps to find. So a search looks at a
 * limited number of candidates of one filter, the one that gets furthest back with them; if the page is not full then,
 * it says where the search goes on. A filter that matches rarely has fewer candidates than the limit: then the search
 * is complete.
 */

import { sql, type Expression, type Kysely, type SelectQueryBuilder, type SqlBool } from 'kysely';

import type { Schema } from '../sql/schema.js';
import type { OperationFilter, OperationPosition } from './operation-record.js';

type Db = Kysely<Schema>;

export interface FoundIds {
  /** Newest first; one that ends while it is read may be twice among them. */
  readonly ids: readonly string[];
  readonly next?: OperationPosition;
}

/** Rows of one filter that a search looks at; it reads each of them, at random places of the table. */
const candidates = 5_000;

/** One of them holds for each row that the filter matches. */
type Alternatives = readonly { readonly column: FilterColumn; readonly value: string }[];
type FilterColumn =
  | 'account'
  | 'operation_type'
  | 'resource'
  | 'namespace'
  | 'object_name'
  | 'caller'
  | 'sent_to_agent_id'
  | 'received_by_cd_id'
  | 'processed_by_cd_id'
  | 'final_outcome';
interface Found {
  readonly id: string;
  readonly time: number | null;
}
type HistoryQuery = SelectQueryBuilder<Schema, 'kubesvc_ops_history', object>;
type PendingQuery = SelectQueryBuilder<Schema, 'kubesvc_ops', object>;

export async function selectPage(db: Db, filter: OperationFilter): Promise<FoundIds> {
  const { items, page = 0, outcomes } = filter;
  const offset = items * page;
  const ended = outcomes === undefined ? undefined : outcomes.filter((outcome) => outcome !== 'pending');
  const filters = filtersOf(filter, ended ?? []);
  const parts: Expression<Found>[] = [];
  const isSearch = filters.length > 1 || !filters.every(isIndexed) || filter.search !== undefined;
  let from: number | undefined;
  if (ended === undefined || ended.length > 0) {
    const driving = isSearch ? await selectDriving(db, filter, filters) : { alternatives: filters[0] ?? [] };
    from = driving.from;
    parts.push(...endedParts(db, filter, filters, driving, offset + items));
  }
  if (ended === undefined || ended.length < (outcomes?.length ?? 0)) {
    parts.push(pendingPart(db, filter, from, offset + items));
  }
  const rows = await selectTogether(db, parts, offset, items);
  const last = rows.at(-1);
  const ids = rows.map(({ id }) => id);
  if (last !== undefined && rows.length === items) return { ids, next: { time: last.time ?? 0, id: last.id } };
  return from === undefined || from <= (filter.since ?? 0) ? { ids } : { ids, next: { time: from, id: '' } };
}

/** The filters that one column of both tables has to equal. */
function equalIn({ account, type, namespace, name, caller, agentId }: OperationFilter) {
  const wanted = [
    ['account', account],
    ['operation_type', type],
    ['namespace', namespace],
    ['object_name', name],
    ['caller', caller],
    ['sent_to_agent_id', agentId],
  ] as const;
  return wanted.flatMap(([column, value]) => (value === undefined ? [] : [{ column, value }]));
}

function filtersOf(filter: OperationFilter, ended: readonly string[]): readonly Alternatives[] {
  const filters: Alternatives[] = equalIn(filter).map((one) => [one]);
  const { instanceId, resources } = filter;
  if (resources !== undefined) filters.push(resources.map((value) => ({ column: 'resource', value })));
  if (instanceId !== undefined) {
    filters.push([
      { column: 'received_by_cd_id', value: instanceId },
      { column: 'processed_by_cd_id', value: instanceId },
    ]);
  }
  if (ended.length > 0) filters.push(ended.map((value) => ({ column: 'final_outcome', value })));
  return filters;
}

function isIndexed(alternatives: Alternatives): boolean {
  return alternatives.every(({ column }) => column !== 'received_by_cd_id' && column !== 'processed_by_cd_id');
}

interface Driving {
  /** Of the filter whose index is read; none: the whole list. */
  readonly alternatives: Alternatives;
  /** Where the candidates end, in ms UTC; absent: at the end of the list. */
  readonly from?: number;
}

/** The filter that gets furthest back with its candidates. */
async function selectDriving(db: Db, filter: OperationFilter, filters: readonly Alternatives[]): Promise<Driving> {
  let best: Driving | undefined;
  const indexed = filters.filter(isIndexed);
  for (const alternatives of indexed.length === 0 ? [[]] : indexed) {
    const ends = await Promise.all(
      (alternatives.length === 0 ? [undefined] : alternatives).map((one) => selectEnd(db, filter, one)),
    );
    const known = ends.filter((end) => end !== undefined);
    if (known.length === 0) return { alternatives };
    const from = Math.max(...known);
    if (best?.from === undefined || from < best.from) best = { alternatives, from };
  }
  return best ?? { alternatives: [] };
}

/** The time of the last candidate, in ms UTC; undefined if there are fewer. Only the index is read. */
async function selectEnd(
  db: Db,
  filter: OperationFilter,
  alternative: Alternatives[number] | undefined,
): Promise<number | undefined> {
  let query = inTime(db.selectFrom('kubesvc_ops_history'), filter, undefined);
  if (alternative !== undefined) query = query.where(alternative.column, '=', alternative.value);
  const row = await query
    .select('start_time')
    .orderBy('start_time', 'desc')
    .limit(1)
    .offset(candidates)
    .executeTakeFirst();
  return row?.start_time ?? undefined;
}

/** Each part is sorted and cut by its index, so that only rows that can be on the page are merged. */
function endedParts(
  db: Db,
  filter: OperationFilter,
  filters: readonly Alternatives[],
  { alternatives, from }: Driving,
  limit: number,
): Expression<Found>[] {
  const rest = filters.filter((other) => other !== alternatives);
  const search = filter.search === undefined ? undefined : searchOf(filter.search);
  return (alternatives.length === 0 ? [undefined] : alternatives).map((one) => {
    let query = inTime(db.selectFrom('kubesvc_ops_history'), filter, from);
    if (one !== undefined) query = query.where(one.column, '=', one.value);
    for (const others of rest) {
      query = query.where((eb) => eb.or(others.map(({ column, value }) => eb(column, '=', value))));
    }
    if (search !== undefined) query = query.where(search);
    return query
      .select(['operation_id as id', 'start_time as time'])
      .orderBy('start_time', 'desc')
      .orderBy('operation_id', 'desc')
      .limit(limit);
  });
}

function inTime(query: HistoryQuery, { since, until, after }: OperationFilter, from: number | undefined): HistoryQuery {
  let bounded = query;
  const start = Math.max(since ?? 0, from ?? 0);
  if (start > 0) bounded = bounded.where('start_time', '>=', start);
  if (until !== undefined) bounded = bounded.where('start_time', '<', until);
  if (after !== undefined) {
    const { time, id } = after;
    // The first condition is for the index.
    bounded = bounded
      .where('start_time', '<=', time)
      .where((eb) => eb.or([eb('start_time', '<', time), eb('operation_id', '<', id)]));
  }
  return bounded;
}

/** Pending operations are few. */
function pendingPart(db: Db, filter: OperationFilter, from: number | undefined, limit: number): Expression<Found> {
  const { since, until, after, search } = filter;
  let query: PendingQuery = db.selectFrom('kubesvc_ops');
  for (const { column, value } of equalIn(filter)) query = query.where(column, '=', value);
  if (filter.instanceId !== undefined) query = query.where('received_by_cd_id', '=', filter.instanceId);
  if (filter.resources !== undefined) query = query.where('resource', 'in', filter.resources);
  const start = Math.max(since ?? 0, from ?? 0);
  if (start > 0) query = query.where('received_time', '>=', start);
  if (until !== undefined) query = query.where('received_time', '<', until);
  if (after !== undefined) {
    const { time, id } = after;
    query = query
      .where('received_time', '<=', time)
      .where((eb) => eb.or([eb('received_time', '<', time), eb('id', '<', id)]));
  }
  if (search !== undefined) query = query.where(partOf(search, ['account', 'object_name']));
  return query
    .select(['id', 'received_time as time'])
    .orderBy('received_time', 'desc')
    .orderBy('id', 'desc')
    .limit(limit);
}

/** Of several parts a row is taken once: it may match two alternatives of a filter. */
async function selectTogether(
  db: Db,
  parts: readonly Expression<Found>[],
  offset: number,
  items: number,
): Promise<readonly Found[]> {
  if (parts.length === 0) return [];
  const union = sql.join(
    parts.map((part, index) => sql`select * from ${part} ${sql.ref(`p${String(index)}`)}`),
    sql` union `,
  );
  const { rows } = await sql<Found>`select id, time from (${union}) u
    order by time desc, id desc limit ${sql.lit(items)} offset ${sql.lit(offset)}`.execute(db);
  return rows;
}

function searchOf(search: string): Expression<SqlBool> {
  return partOf(search, ['account', 'object_name', 'error_message', 'result_message']);
}

function partOf(search: string, columns: readonly string[]): Expression<SqlBool> {
  const pattern = `%${search.toLowerCase().replaceAll(/[!%_]/gu, '!$&')}%`;
  const conditions = columns.map((column) => sql`lower(${sql.ref(column)}) like ${pattern} escape '!'`);
  return sql<SqlBool>`(${sql.join(conditions, sql` or `)})`;
}
