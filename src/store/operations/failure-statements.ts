/**
 * The statements that say which accounts' operations fail. Each reads a bounded number of rows along an index, however long the
 * history is.
 */

import { sql, type Expression, type Kysely } from 'kysely';

import { msAgo } from '../sql/clock.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';
import type { FinalOutcome } from './operation-record.js';

type Db = Kysely<Schema>;

/** Of one account and outcome. */
export interface FailureCount {
  readonly account: string;
  readonly outcome: string;
  /** Rows that were read. */
  readonly rows: number;
  /** Requests that they stand for: all, and those of the last `recentMs`. */
  readonly requests: number;
  readonly recentRequests: number;
  /** Start of the first and the last one, in ms UTC. */
  readonly first: number;
  readonly last: number;
}

/** Counts the newest `limit` operations with each of these outcomes that started within `periodMs`. */
export async function selectFailureCounts(
  db: Db,
  dialect: SqlDialect,
  { outcomes, periodMs, recentMs, limit }: FailurePeriod,
): Promise<readonly FailureCount[]> {
  const newest = outcomes.map((outcome) =>
    db
      .selectFrom('kubesvc_ops_history')
      .select(['account', 'final_outcome', 'start_time', 'occurrences'])
      .where('final_outcome', '=', outcome)
      .where('start_time', '>=', msAgo(dialect, periodMs))
      .orderBy('start_time', 'desc')
      .limit(limit),
  );
  const { rows } = await sql<Record<keyof FailureCount, string | number | null>>`
    select account, final_outcome as outcome, count(*) as ${sql.id('rows')}, sum(coalesce(occurrences, 1)) as requests,
      sum(case when start_time >= ${msAgo(dialect, recentMs)} then coalesce(occurrences, 1) else 0 end)
        as ${sql.id('recentRequests')},
      min(start_time) as ${sql.id('first')}, max(start_time) as ${sql.id('last')}
    from (${unionOf(newest)}) f group by account, final_outcome`.execute(db);
  return rows.map((row) => ({
    account: String(row.account ?? ''),
    outcome: String(row.outcome),
    rows: Number(row.rows),
    requests: Number(row.requests),
    recentRequests: Number(row.recentRequests),
    first: Number(row.first),
    last: Number(row.last),
  }));
}

interface FailurePeriod {
  readonly outcomes: readonly FinalOutcome[];
  readonly periodMs: number;
  readonly recentMs: number;
  readonly limit: number;
}

/** The newest `limit` operations of each account, newest first. */
export async function selectNewest(
  db: Db,
  accounts: readonly string[],
  limit: number,
): Promise<readonly { readonly account: string; readonly startTime: number; readonly outcome: string | null }[]> {
  if (accounts.length === 0) return [];
  const newest = accounts.map((account) =>
    db
      .selectFrom('kubesvc_ops_history')
      .select(['account', 'start_time', 'final_outcome'])
      .where('account', '=', account)
      .orderBy('start_time', 'desc')
      .limit(limit),
  );
  const { rows } = await sql<{ account: string; start_time: number | string; final_outcome: string | null }>`
    select * from (${unionOf(newest)}) n order by start_time desc`.execute(db);
  return rows.map((row) => ({
    account: row.account,
    startTime: Number(row.start_time),
    outcome: row.final_outcome,
  }));
}

/** Operations with one of these outcomes that started at these times. */
export function selectFailuresAt(
  db: Db,
  outcomes: readonly FinalOutcome[],
  starts: readonly { readonly account: string; readonly startTime: number }[],
): Promise<
  {
    account: string | null;
    operation_id: string;
    final_outcome: string | null;
    error_message: string | null;
    result_message: string | null;
  }[]
> {
  return db
    .selectFrom('kubesvc_ops_history')
    .select(['account', 'operation_id', 'final_outcome', 'error_message', 'result_message'])
    .where((eb) =>
      eb.or(
        starts.map(({ account, startTime }) =>
          eb.and([eb('account', '=', account), eb('start_time', '=', startTime), eb('final_outcome', 'in', outcomes)]),
        ),
      ),
    )
    .execute();
}

function unionOf(parts: readonly Expression<unknown>[]): Expression<unknown> {
  return sql.join(
    parts.map((part, index) => sql`select * from ${part} ${sql.ref(`p${String(index)}`)}`),
    sql` union all `,
  );
}
