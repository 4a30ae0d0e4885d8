/** The statements that read accounts together with their assignments: one function for each. */

import type { ExpressionBuilder, Kysely } from 'kysely';

import { processOf } from './assignment-statements.js';
import { batches } from '../../core/batches.js';
import type { Assignment, Ownership } from './ownership.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

interface OwnershipRow {
  readonly name: string;
  readonly version: number;
  readonly agent_id: string | null;
  readonly cd_id: string | null;
  readonly epoch: number | null;
  readonly process_id: string | null;
  readonly caching: boolean | number | null;
}

/** Accounts and their assignments in one statement, so that version and assignments belong together. */
export async function selectOwnerships(db: Db, names: readonly string[]): Promise<Ownership[]> {
  const found: Ownership[] = [];
  for (const batch of batches(names)) {
    const rows = await ownershipQuery(db, (eb) => eb('name', 'in', batch)).execute();
    found.push(...grouped(rows));
  }
  return found;
}

/** The `limit` accounts after `afterAccount`, as `selectOwnerships`. */
export async function selectOwnershipPage(db: Db, afterAccount: string, limit: number): Promise<Ownership[]> {
  return grouped(await ownershipQuery(db, (eb) => eb('name', '>', afterAccount), limit).execute());
}

function ownershipQuery(
  db: Db,
  which: (
    eb: ExpressionBuilder<Schema, 'kubesvc_accounts'>,
  ) => ReturnType<ExpressionBuilder<Schema, 'kubesvc_accounts'>>,
  limit?: number,
) {
  let accounts = db
    .selectFrom('kubesvc_accounts')
    .select(['name', 'assignments_version as version'])
    .where(which as never)
    .orderBy('name');
  if (limit !== undefined) accounts = accounts.limit(limit);
  return db
    .selectFrom(accounts.as('a'))
    .leftJoin('kubesvc_assignments as s', 's.account_name', 'a.name')
    .select(['a.name', 'a.version', 's.agent_id', 's.cd_id', 's.epoch', 's.process_id', 's.caching'])
    .orderBy('a.name')
    .orderBy('s.agent_id');
}

function grouped(rows: readonly OwnershipRow[]): Ownership[] {
  const accounts = new Map<string, { account: string; version: number; assignments: Assignment[] }>();
  for (const row of rows) {
    const entry = accounts.get(row.name) ?? { account: row.name, version: row.version, assignments: [] };
    accounts.set(row.name, entry);
    if (row.agent_id === null || row.cd_id === null || row.epoch === null) continue;
    entry.assignments.push({
      agentId: row.agent_id,
      instanceId: row.cd_id,
      epoch: row.epoch,
      ...processOf(row.process_id),
      caching: Boolean(row.caching),
    });
  }
  return [...accounts.values()];
}
