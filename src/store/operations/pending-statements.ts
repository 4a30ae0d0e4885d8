/** The statements on kubesvc_ops, the pending operations: one function for each. */

import { sql, type Kysely, type Selectable } from 'kysely';

import { bulkInsert } from '../sql/bulk-insert.js';
import { msAgo } from '../sql/clock.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { OperationBinding, StoredOperation, UnfinishedFilter, UnfinishedOperation } from './operation-record.js';
import { recordedRequest, requestColumns, requestValues } from './request-columns.js';
import type { OperationsTable, Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

const pendingRows = bulkInsert(
  'kubesvc_ops',
  {
    id: 'text',
    account: 'text',
    operation_type: 'text',
    body: 'bytes',
    digest: 'text',
    received_by_cd_id: 'text',
    received_time: 'number',
    timeout_ms: 'number',
    deadline_time: 'fromNow',
    sent_to_agent_id: 'text',
    sent_to_epoch: 'number',
    sent_to_process_id: 'text',
    write_token: 'text',
    ...requestColumns,
  },
  'id',
  'stay',
);

export function insertPending(
  db: Db,
  dialect: SqlDialect,
  operations: readonly StoredOperation[],
  token: string,
): Promise<void> {
  const rows = operations.map((operation) => [
    operation.id,
    operation.account,
    operation.operationType,
    operation.body,
    operation.digest,
    operation.receivedByInstanceId,
    operation.receivedTime,
    operation.timeoutMs,
    operation.timeoutMs,
    operation.agentId,
    operation.agentEpoch,
    operation.agentProcessId ?? '',
    token,
    ...requestValues(operation),
  ]);
  return pendingRows(db, dialect, rows);
}

export function selectPendingKeys(
  db: Db,
  ids: readonly string[],
): Promise<{ id: string; digest: string; write_token: string }[]> {
  return db.selectFrom('kubesvc_ops').select(['id', 'digest', 'write_token']).where('id', 'in', ids).execute();
}

/** Binds a pending operation to a process. @returns false if another instance has taken it over */
export async function bindPending(
  db: Db,
  id: string,
  { agentId, epoch, processId = '' }: OperationBinding,
): Promise<boolean> {
  const bound = { sent_to_agent_id: agentId, sent_to_epoch: epoch, sent_to_process_id: processId };
  await db.updateTable('kubesvc_ops').set(bound).where('id', '=', id).where('adopted_by_cd_id', '=', '').execute();
  // Read back: MySQL counts rows that changed, not those that matched.
  const row = await db.selectFrom('kubesvc_ops').select('adopted_by_cd_id').where('id', '=', id).executeTakeFirst();
  return row?.adopted_by_cd_id === '';
}

export async function adoptPending(db: Db, ids: readonly string[], instanceId: string): Promise<void> {
  if (ids.length === 0) return;
  await db.updateTable('kubesvc_ops').set({ adopted_by_cd_id: instanceId }).where('id', 'in', ids).execute();
}

export async function deletePending(db: Db, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await db.deleteFrom('kubesvc_ops').where('id', 'in', ids).execute();
}

/**
 * The same id may have been submitted to another instance, where it is under way.
 * @returns whether it is gone, or was submitted to another instance; false if another instance took it over
 */
export async function withdrawPending(db: Db, id: string, receivedByInstanceId: string): Promise<boolean> {
  await db
    .deleteFrom('kubesvc_ops')
    .where('id', '=', id)
    .where('received_by_cd_id', '=', receivedByInstanceId)
    .where('adopted_by_cd_id', '=', '')
    .execute();
  const left = await db
    .selectFrom('kubesvc_ops')
    .select('id')
    .where('id', '=', id)
    .where('received_by_cd_id', '=', receivedByInstanceId)
    .executeTakeFirst();
  return left === undefined;
}

export async function selectUnfinished(
  db: Db,
  dialect: SqlDialect,
  filter: UnfinishedFilter,
): Promise<UnfinishedOperation[]> {
  let query = db.selectFrom('kubesvc_ops').selectAll().orderBy('id').limit(filter.limit);
  if (filter.after !== undefined) query = query.where('id', '>', filter.after);
  if (filter.accounts !== undefined) query = query.where('account', 'in', filter.accounts);
  if (filter.receivedByInstanceId !== undefined) {
    query = query.where('received_by_cd_id', '=', filter.receivedByInstanceId);
  }
  if (filter.overdueMs !== undefined) {
    query = query.where('deadline_time', '<', msAgo(dialect, filter.overdueMs));
  }
  const rows = await query.select(sql<number>`${dialect.nowMs}`.as('now_ms')).execute();
  return rows.map((row) => unfinishedOperation(row, Number(row.now_ms)));
}

function unfinishedOperation(row: Selectable<OperationsTable>, nowMs: number): UnfinishedOperation {
  return {
    id: row.id,
    account: row.account,
    operationType: row.operation_type,
    body: row.body,
    digest: row.digest,
    receivedByInstanceId: row.received_by_cd_id,
    receivedTime: row.received_time,
    timeoutMs: row.timeout_ms,
    timeLeftMs: row.deadline_time - nowMs,
    agentId: row.sent_to_agent_id,
    agentEpoch: row.sent_to_epoch,
    ...(row.sent_to_process_id === '' ? {} : { agentProcessId: row.sent_to_process_id }),
    ...recordedRequest(row),
  };
}

/** The same memory as a Buffer, which every driver takes. */
