/** The statements that read pending and ended operations together, and the rows' translation. */

import type { Kysely, Selectable } from 'kysely';

import type { FinalOutcome, OperationRecord } from './operation-record.js';
import { recordedRequest, requestColumnNames } from './request-columns.js';
import type { HistoryTable, OperationsTable, RequestColumns, Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

/** Records by id. Pending ones are read first, so that one that ends meanwhile is found in the history. */
export async function selectRecords(db: Db, ids: readonly string[]): Promise<Map<string, OperationRecord>> {
  if (ids.length === 0) return new Map();
  const pending = await db
    .selectFrom('kubesvc_ops')
    .select(['id', 'account', 'operation_type', 'digest', 'received_by_cd_id', 'received_time', ...requestColumnNames])
    .where('id', 'in', ids)
    .execute();
  const ended = await db.selectFrom('kubesvc_ops_history').selectAll().where('operation_id', 'in', ids).execute();
  return new Map([
    ...pending.map((row) => [row.id, pendingRecord(row)] as const),
    ...ended.map((row) => [row.operation_id, historyRecord(row)] as const),
  ]);
}

function pendingRecord(
  row: Pick<
    Selectable<OperationsTable>,
    'id' | 'account' | 'operation_type' | 'digest' | 'received_by_cd_id' | 'received_time' | keyof RequestColumns
  >,
): OperationRecord {
  return {
    operationId: row.id,
    operationType: row.operation_type,
    account: row.account,
    startTime: row.received_time,
    receivedBy: { instanceId: row.received_by_cd_id, time: row.received_time },
    digest: row.digest,
    ...recordedRequest(row),
  };
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
    ...recordedRequest(row),
    ...(row.verb === null ? {} : { verb: row.verb }),
    ...(row.request_bytes === null ? {} : { requestBytes: row.request_bytes }),
    ...(row.response_bytes === null ? {} : { responseBytes: row.response_bytes }),
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.occurrences === null ? {} : { count: row.occurrences }),
  };
}

function step(instanceId: string | null, time: number | null): { instanceId: string; time: number } | undefined {
  return instanceId === null || time === null ? undefined : { instanceId, time };
}
