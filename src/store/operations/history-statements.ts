/** The statements on kubesvc_ops_history, the operations that have ended: one function for each. */

import type { Kysely } from 'kysely';

import { bulkInsert, type InsertedRow } from '../sql/bulk-insert.js';
import { msAgo } from '../sql/clock.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { FinishedOperation } from './operation-record.js';
import { requestColumns, requestValues } from './request-columns.js';
import type { Schema } from '../sql/schema.js';
import { storable } from '../sql/storable-text.js';
import { historyLengths } from '../sql/tables.js';

type Db = Kysely<Schema>;

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

const historyColumns = {
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
  verb: 'text',
  request_bytes: 'number',
  response_bytes: 'number',
  reason: 'text',
  occurrences: 'number',
  ...requestColumns,
} as const;

const historyRows = {
  stay: bulkInsert('kubesvc_ops_history', historyColumns, 'operation_id', 'stay'),
  fail: bulkInsert('kubesvc_ops_history', historyColumns, 'operation_id', 'fail'),
};

/** @param existing what becomes of a record whose id is there: with `fail` nothing is inserted, and the error isDuplicateKey() */
export function insertHistory(
  db: Db,
  dialect: SqlDialect,
  records: readonly FinishedOperation[],
  token: string,
  existing: 'stay' | 'fail' = 'stay',
): Promise<void> {
  return historyRows[existing](
    db,
    dialect,
    records.map((record) => historyValues(record, token)),
  );
}

/** The count of a refusal only grows. */
const refusalRows = bulkInsert('kubesvc_ops_history', historyColumns, 'operation_id', { by: 'occurrences', kept: [] });

/** @param records with a count, each once: their texts are of callers that nobody knows */
export function upsertRefusals(db: Db, dialect: SqlDialect, records: readonly FinishedOperation[]): Promise<void> {
  const rows = records.map((record) => {
    const account = storable(record.account, historyLengths.account) ?? '';
    const operationType = storable(record.operationType, historyLengths.operationType) ?? '';
    return historyValues({ ...record, account, operationType }, null);
  });
  return refusalRows(db, dialect, rows);
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
    .where('start_time', '<', msAgo(dialect, ageMs))
    .orderBy('start_time')
    .limit(limit)
    .execute();
  return rows.map((row) => row.operation_id);
}

/** In the order of `historyColumns`. */
function historyValues(record: FinishedOperation, token: string | null): InsertedRow {
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
    storable(record.verb, historyLengths.verb),
    record.requestBytes ?? null,
    record.responseBytes ?? null,
    storable(record.reason, historyLengths.reason),
    record.count ?? null,
    ...requestValues(record),
  ];
}
