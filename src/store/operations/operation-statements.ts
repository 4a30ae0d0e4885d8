/** The statements on kubesvc_ops and kubesvc_ops_history: one function for each, and the rows' translation. */

import { sql, type Kysely, type Selectable } from 'kysely';

import { bulkInsert, type JsonRow } from '../sql/bulk-insert.js';
import type { SqlDialect } from '../sql/dialect.js';
import type {
  FinalOutcome,
  FinishedOperation,
  OperationBinding,
  OperationFilter,
  OperationRecord,
  StoredOperation,
  UnfinishedFilter,
  UnfinishedOperation,
} from './operation-record.js';
import type { HistoryTable, OperationsTable, Schema } from '../sql/schema.js';
import { storable } from '../sql/storable-text.js';

type Db = Kysely<Schema>;

const pendingRows = bulkInsert(
  'kubesvc_ops',
  {
    id: 'text',
    account: 'text',
    operation_type: 'text',
    body: 'base64',
    digest: 'text',
    received_by_cd_id: 'text',
    received_time: 'number',
    timeout_ms: 'number',
    deadline_time: 'fromNow',
    sent_to_agent_id: 'text',
    sent_to_epoch: 'number',
    sent_to_process_id: 'text',
    write_token: 'text',
  },
  'id',
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
    bufferOf(operation.body).toString('base64'),
    operation.digest,
    operation.receivedByInstanceId,
    operation.receivedTime,
    operation.timeoutMs,
    operation.timeoutMs,
    operation.agentId,
    operation.agentEpoch,
    operation.agentProcessId ?? '',
    token,
  ]);
  return pendingRows(db, dialect, rows);
}

export function selectPendingKeys(
  db: Db,
  ids: readonly string[],
): Promise<{ id: string; digest: string; write_token: string }[]> {
  return db.selectFrom('kubesvc_ops').select(['id', 'digest', 'write_token']).where('id', 'in', ids).execute();
}

export function selectHistoryKeys(
  db: Db,
  ids: readonly string[],
): Promise<
  { operation_id: string; digest: string | null; final_outcome: string | null; write_token: string | null }[]
> {
  return db
    .selectFrom('kubesvc_ops_history')
    .select(['operation_id', 'digest', 'final_outcome', 'write_token'])
    .where('operation_id', 'in', ids)
    .execute();
}

const historyRows = bulkInsert(
  'kubesvc_ops_history',
  {
    operation_id: 'text',
    start_time: 'number',
    end_time: 'number',
    total_duration_ms: 'number',
    final_outcome: 'text',
    account: 'text',
    operation_type: 'text',
    received_by_cd_id: 'text',
    received_by_cd_time: 'number',
    processed_by_cd_id: 'text',
    processed_by_cd_time: 'number',
    sent_to_agent_id: 'text',
    sent_to_agent_time: 'number',
    res_received_from_agent_agent_id: 'text',
    res_received_from_agent_cd_id: 'text',
    res_received_from_agent_time: 'number',
    res_received_from_agent_result_status: 'number',
    res_received_from_agent_result_duration_ms: 'number',
    res_received_by_cd_id: 'text',
    res_received_by_cd_time: 'number',
    digest: 'text',
    error_message: 'text',
    result_message: 'text',
    write_token: 'text',
  },
  'operation_id',
);

export function insertHistory(
  db: Db,
  dialect: SqlDialect,
  records: readonly FinishedOperation[],
  token: string,
): Promise<void> {
  return historyRows(
    db,
    dialect,
    records.map((record) => historyValues(record, token)),
  );
}

/** Notes who may have a pending operation from now on. @returns whether nobody has taken it over */
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
 * The same id may have been given to another instance, which has it under way.
 * @returns whether it is gone, or was given to another instance: false when somebody took it over
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

export async function deleteHistory(db: Db, ids: readonly string[]): Promise<number> {
  if (ids.length === 0) return 0;
  const deleted = await db.deleteFrom('kubesvc_ops_history').where('operation_id', 'in', ids).executeTakeFirst();
  return Number(deleted.numDeletedRows);
}

export async function selectOldHistory(db: Db, dialect: SqlDialect, ageMs: number, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('kubesvc_ops_history')
    .select('operation_id')
    .where('start_time', '<', sql<number>`${dialect.nowMs} - ${sql.lit(ageMs)}`)
    .orderBy('start_time')
    .limit(limit)
    .execute();
  return rows.map((row) => row.operation_id);
}

/** Records by id. Pending ones are read first, so that one that ends meanwhile is found in the history. */
export async function selectRecords(db: Db, ids: readonly string[]): Promise<Map<string, OperationRecord>> {
  if (ids.length === 0) return new Map();
  const pending = await db
    .selectFrom('kubesvc_ops')
    .select(['id', 'account', 'operation_type', 'digest', 'received_by_cd_id', 'received_time'])
    .where('id', 'in', ids)
    .execute();
  const ended = await db.selectFrom('kubesvc_ops_history').selectAll().where('operation_id', 'in', ids).execute();
  return new Map([
    ...pending.map((row) => [row.id, pendingRecord(row)] as const),
    ...ended.map((row) => [row.operation_id, historyRecord(row)] as const),
  ]);
}

/** Ids of a page over both tables, newest first. */
export async function selectPageIds(db: Db, filter: OperationFilter): Promise<string[]> {
  const { items, page, account, outcome, since, until } = filter;
  const offset = items * page;
  // Each part sorted and cut by its index, so that only what can be on the page is merged.
  let ended = db
    .selectFrom('kubesvc_ops_history')
    .select(['operation_id as id', 'start_time as time'])
    .orderBy('start_time', 'desc')
    .orderBy('operation_id', 'desc')
    .limit(offset + items);
  let pending = db
    .selectFrom('kubesvc_ops')
    .select(['id', 'received_time as time'])
    .orderBy('received_time', 'desc')
    .orderBy('id', 'desc')
    .limit(offset + items);
  if (account !== undefined) {
    ended = ended.where('account', '=', account);
    pending = pending.where('account', '=', account);
  }
  if (since !== undefined) {
    ended = ended.where('start_time', '>=', since);
    pending = pending.where('received_time', '>=', since);
  }
  if (until !== undefined) {
    ended = ended.where('start_time', '<', until);
    pending = pending.where('received_time', '<', until);
  }
  if (outcome === 'pending') {
    const rows = await pending.limit(items).offset(offset).execute();
    return rows.map((row) => row.id);
  }
  if (outcome !== undefined) {
    const rows = await ended.where('final_outcome', '=', outcome).limit(items).offset(offset).execute();
    return rows.map((row) => row.id);
  }
  const both = db
    .selectFrom(ended.as('e'))
    .selectAll()
    .unionAll(db.selectFrom(pending.as('p')).selectAll());
  const rows = await db
    .selectFrom(both.as('u'))
    .select('id')
    .orderBy('time', 'desc')
    .orderBy('id', 'desc')
    .limit(items)
    .offset(offset)
    .execute();
  return rows.map((row) => row.id);
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
    query = query.where('deadline_time', '<', sql<number>`${dialect.nowMs} - ${sql.lit(filter.overdueMs)}`);
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
  };
}

function pendingRecord(
  row: Pick<
    Selectable<OperationsTable>,
    'id' | 'account' | 'operation_type' | 'digest' | 'received_by_cd_id' | 'received_time'
  >,
): OperationRecord {
  return {
    operationId: row.id,
    operationType: row.operation_type,
    account: row.account,
    startTime: row.received_time,
    receivedBy: { instanceId: row.received_by_cd_id, time: row.received_time },
    digest: row.digest,
  };
}

/** In the order of `historyRows`. */
function historyValues(record: FinishedOperation, token: string): JsonRow {
  const { receivedBy, processedBy, sentToAgent, resultReceivedFromAgent: result, resultReceivedBy } = record;
  return [
    record.operationId,
    record.startTime,
    record.endTime,
    record.totalDurationMs ?? record.endTime - record.startTime,
    record.finalOutcome,
    record.account,
    record.operationType,
    receivedBy?.instanceId ?? null,
    receivedBy?.time ?? null,
    processedBy?.instanceId ?? null,
    processedBy?.time ?? null,
    sentToAgent?.agentId ?? null,
    sentToAgent?.time ?? null,
    result?.agentId ?? null,
    result?.instanceId ?? null,
    result?.time ?? null,
    result?.status ?? null,
    result?.durationMs ?? null,
    resultReceivedBy?.instanceId ?? null,
    resultReceivedBy?.time ?? null,
    record.digest,
    storable(record.errorMessage),
    storable(record.resultMessage),
    token,
  ];
}

function historyRecord(row: Selectable<HistoryTable>): OperationRecord {
  const received = step(row.received_by_cd_id, row.received_by_cd_time);
  const processed = step(row.processed_by_cd_id, row.processed_by_cd_time);
  const resultReceived = step(row.res_received_by_cd_id, row.res_received_by_cd_time);
  return {
    operationId: row.operation_id,
    operationType: row.operation_type ?? '',
    account: row.account ?? '',
    startTime: row.start_time ?? 0,
    digest: row.digest ?? '',
    ...(row.end_time === null ? {} : { endTime: row.end_time }),
    ...(row.total_duration_ms === null ? {} : { totalDurationMs: row.total_duration_ms }),
    ...(row.final_outcome === null ? {} : { finalOutcome: row.final_outcome as FinalOutcome }),
    ...(received === undefined ? {} : { receivedBy: received }),
    ...(processed === undefined ? {} : { processedBy: processed }),
    ...(row.sent_to_agent_id === null || row.sent_to_agent_time === null
      ? {}
      : { sentToAgent: { agentId: row.sent_to_agent_id, time: row.sent_to_agent_time } }),
    ...(row.res_received_from_agent_agent_id === null
      ? {}
      : {
          resultReceivedFromAgent: {
            agentId: row.res_received_from_agent_agent_id,
            instanceId: row.res_received_from_agent_cd_id ?? '',
            time: row.res_received_from_agent_time ?? 0,
            status: row.res_received_from_agent_result_status ?? 0,
            durationMs: row.res_received_from_agent_result_duration_ms ?? 0,
          },
        }),
    ...(resultReceived === undefined ? {} : { resultReceivedBy: resultReceived }),
    ...(row.error_message === null ? {} : { errorMessage: row.error_message }),
    ...(row.result_message === null ? {} : { resultMessage: row.result_message }),
  };
}

function step(instanceId: string | null, time: number | null): { instanceId: string; time: number } | undefined {
  return instanceId === null || time === null ? undefined : { instanceId, time };
}

/** The same memory as a Buffer, which every driver takes. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
