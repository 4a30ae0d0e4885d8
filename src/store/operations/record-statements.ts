/** The statements that read pending and ended operations together, and the rows' translation. */

import type { Kysely, Selectable } from 'kysely';

import type { FinalOutcome, OperationFilter, OperationRecord } from './operation-record.js';
import type { HistoryTable, OperationsTable, Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

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
  // Each part is sorted and cut by its index, so that only rows that can be on the page are merged.
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
    ...(row.caller === null ? {} : { caller: row.caller }),
    ...(row.verb === null ? {} : { verb: row.verb }),
    ...(row.resource === null
      ? {}
      : {
          object: {
            group: row.api_group ?? '',
            resource: row.resource,
            namespace: row.namespace ?? '',
            name: row.object_name ?? '',
          },
        }),
    ...(row.request_bytes === null ? {} : { requestBytes: row.request_bytes }),
    ...(row.response_bytes === null ? {} : { responseBytes: row.response_bytes }),
  };
}

function step(instanceId: string | null, time: number | null): { instanceId: string; time: number } | undefined {
  return instanceId === null || time === null ? undefined : { instanceId, time };
}
