/** The statements on kubesvc_assignments: one function for each. */

import type { Kysely } from 'kysely';

import type { AssignmentRow } from './assignment-rules.js';
import { bulkUpsert } from '../sql/bulk-upsert.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Assignment, Connection } from './ownership.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

export async function selectAssignments(db: Db, names: readonly string[]): Promise<Map<string, AssignmentRow[]>> {
  const rows = await db
    .selectFrom('kubesvc_assignments')
    .select(['id', 'account_name', 'agent_id', 'cd_id', 'epoch', 'process_id', 'caching'])
    .where('account_name', 'in', names)
    // Another program may have left such rows.
    .where('agent_id', 'is not', null)
    .where('cd_id', 'is not', null)
    .orderBy('account_name')
    .orderBy('agent_id')
    .execute();
  const byAccount = new Map<string, AssignmentRow[]>(names.map((name) => [name, []]));
  for (const row of rows) {
    byAccount.get(row.account_name)?.push({
      id: row.id,
      agentId: row.agent_id,
      instanceId: row.cd_id,
      epoch: row.epoch,
      ...processOf(row.process_id),
      caching: Boolean(row.caching),
    });
  }
  return byAccount;
}

const assignmentRows = bulkUpsert(
  'kubesvc_assignments',
  {
    account_name: 'value',
    agent_id: 'value',
    cd_id: 'value',
    epoch: 'value',
    process_id: 'value',
    caching: 'value',
    reachable: 'value',
    connections: 'value',
    last_updated: 'now',
  },
  ['account_name', 'agent_id'],
  { overwrite: true },
);

/** Inserts rows, and moves rows of an agent to its newer connection. */
export async function upsertAssignments(
  db: Db,
  dialect: SqlDialect,
  rows: readonly { readonly account: string; readonly assignment: Assignment }[],
): Promise<void> {
  await assignmentRows(
    db,
    dialect,
    rows.map(({ account, assignment: { agentId, instanceId, epoch, processId = '', caching } }) => [
      account,
      agentId,
      instanceId,
      epoch,
      processId,
      caching,
      true,
      1,
    ]),
  );
}

export async function deleteAssignments(db: Db, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  await db.deleteFrom('kubesvc_assignments').where('id', 'in', ids).execute();
}

export async function startCaching(db: Db, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  await db
    .updateTable('kubesvc_assignments')
    .set({ caching: true, caching_stream: 0 })
    .where('id', 'in', ids)
    .execute();
}

/** Names of accounts with a row that matches `filter`, after `afterAccount`, in name order. */
export async function selectAssignedAccounts(
  db: Db,
  filter: Partial<Connection>,
  afterAccount: string,
  limit: number,
): Promise<string[]> {
  let query = db
    .selectFrom('kubesvc_assignments')
    .select('account_name')
    .distinct()
    .where('account_name', '>', afterAccount)
    .orderBy('account_name')
    .limit(limit);
  if (filter.instanceId !== undefined) query = query.where('cd_id', '=', filter.instanceId);
  if (filter.agentId !== undefined) query = query.where('agent_id', '=', filter.agentId);
  if (filter.epoch !== undefined) query = query.where('epoch', '=', filter.epoch);
  return (await query.execute()).map((row) => row.account_name);
}

/** The column is '' for an agent that names no process. */
export function processOf(id: string | null): Pick<Assignment, 'processId'> {
  return id === null || id === '' ? {} : { processId: id };
}
