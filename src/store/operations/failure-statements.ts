/**
 * The statements that say which accounts' operations fail. Each reads a bounded number of rows along an index, however long the
 * history is.
 */

import type { Kysely } from 'kysely';

import { msAgo } from '../sql/clock.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';
import type { FinalOutcome } from './operation-record.js';

type Db = Kysely<Schema>;

/**
 * The newest operations with this outcome that started within `periodMs`, newest first; `age` in ms, `count`: how many requests
 * the row stands for.
 */
export async function selectFailures(
  db: Db,
  dialect: SqlDialect,
  outcome: FinalOutcome,
  periodMs: number,
  limit: number,
): Promise<{ readonly account: string; readonly age: number; readonly count: number }[]> {
  const rows = await db
    .selectFrom('kubesvc_ops_history')
    .select(['account', 'start_time', 'occurrences'])
    .select(dialect.nowMs.as('now'))
    .where('final_outcome', '=', outcome)
    .where('start_time', '>=', msAgo(dialect, periodMs))
    .orderBy('start_time', 'desc')
    .limit(limit)
    .execute();
  return rows.map(({ account, start_time, occurrences, now }) => ({
    account: account ?? '',
    age: Number(now) - (start_time ?? 0),
    count: occurrences ?? 1,
  }));
}

/** The newest operations of the account, newest first. */
export function selectNewest(
  db: Db,
  account: string,
  limit: number,
): Promise<{ operation_id: string; start_time: number | null; final_outcome: string | null }[]> {
  return db
    .selectFrom('kubesvc_ops_history')
    .select(['operation_id', 'start_time', 'final_outcome'])
    .where('account', '=', account)
    .orderBy('start_time', 'desc')
    .limit(limit)
    .execute();
}

export function selectMessages(
  db: Db,
  operationIds: readonly string[],
): Promise<{ operation_id: string; error_message: string | null; result_message: string | null }[]> {
  return db
    .selectFrom('kubesvc_ops_history')
    .select(['operation_id', 'error_message', 'result_message'])
    .where('operation_id', 'in', operationIds)
    .execute();
}
