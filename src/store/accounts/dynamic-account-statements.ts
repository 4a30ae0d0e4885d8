/** The statements of the API's dynamic accounts in kubesvc_accounts: one function for each. */

import { sql, type Kysely } from 'kysely';

import { aimOf, type AccountStatus } from './account-lifecycle.js';
import type {
  AccountRecord,
  DynamicAccountFilter,
  DynamicAccountSummary,
  NewDynamicAccount,
} from './account-record.js';
import { accountRecord, statusOf, waitingText } from './account-row.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';
import { dueNow } from './waiting-statements.js';

type Db = Kysely<Schema>;

/**
 * Adds those of the accounts whose names are not there yet.
 * @param live instances that have their turns for the ones to activate
 */
export async function insertDynamicAccounts(
  db: Db,
  dialect: SqlDialect,
  accounts: readonly NewDynamicAccount[],
  live: Iterable<string>,
  token: string,
): Promise<void> {
  const waiting = waitingText(live);
  const query = db.insertInto('kubesvc_accounts').values(
    accounts.map(({ name, zoneId, definition, activate }) => ({
      name,
      zone_id: zoneId,
      definition,
      dynamic: true,
      write_token: token,
      status: activate ? 'TO_MIGRATE' : 'INACTIVE',
      due_time: activate ? dialect.nowMs : null,
      waiting_cd_ids: activate ? waiting : null,
      definition_version: dialect.nowMs,
      // As registered ones: above that of a row deleted before.
      assignments_version: dialect.nowMs,
      last_updated: dialect.nowMs,
    })),
  );
  await dialect.insertMissing(query, ['name']).execute();
}

/** Those of `names` that were there before insertDynamicAccounts() with this token. */
export async function selectPresentAccounts(db: Db, names: readonly string[], token: string): Promise<AccountRecord[]> {
  const rows = await db.selectFrom('kubesvc_accounts').selectAll().where('name', 'in', names).execute();
  return rows.filter((row) => row.write_token !== token).map(accountRecord);
}

/** `limit` dynamic accounts after the name `after`, in name order. */
export async function selectDynamicAccounts(
  db: Db,
  { status, zoneId }: DynamicAccountFilter,
  after: string,
  limit: number,
): Promise<AccountRecord[]> {
  let query = db.selectFrom('kubesvc_accounts').selectAll().where('dynamic', '=', true).where('name', '>', after);
  if (status !== undefined) query = query.where('status', '=', status);
  if (zoneId !== undefined) query = query.where('zone_id', '=', zoneId);
  const rows = await query.orderBy('name').limit(limit).execute();
  return rows.map(accountRecord);
}

/** As selectDynamicAccounts(), without what is large. */
export async function selectDynamicSummaries(db: Db, after: string, limit: number): Promise<DynamicAccountSummary[]> {
  const rows = await db
    .selectFrom('kubesvc_accounts')
    .select(['name', 'status', 'zone_id', 'connections', 'failed_count', 'error_message', 'last_updated'])
    .where('dynamic', '=', true)
    .where('name', '>', after)
    .orderBy('name')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    name: row.name,
    status: statusOf(row),
    zoneId: row.zone_id ?? '',
    connections: row.connections ?? 0,
    failedCount: row.failed_count ?? 0,
    ...(row.error_message === null ? {} : { errorMessage: row.error_message }),
    lastUpdated: row.last_updated ?? 0,
  }));
}

/** What a change of an account has to know of it. */
export interface ChangeableAccount {
  readonly name: string;
  readonly status: AccountStatus;
  readonly dynamic: boolean;
  readonly definition: string | null;
  readonly zoneId: string | null;
}

/** Locks the rows of the accounts, in name order so that two transactions never wait for each other. */
export async function lockDefinitions(db: Db, names: readonly string[]): Promise<ChangeableAccount[]> {
  const rows = await db
    .selectFrom('kubesvc_accounts')
    .select(['name', 'status', 'dynamic', 'definition', 'zone_id'])
    .where('name', 'in', names)
    .orderBy('name')
    .forUpdate()
    .execute();
  return rows.map((row) => ({
    name: row.name,
    status: statusOf(row),
    dynamic: Boolean(row.dynamic),
    definition: row.definition,
    zoneId: row.zone_id,
  }));
}

/** Columns of an account that its change overwrites. */
export interface ChangedDefinition {
  readonly definition: string | null;
  readonly zoneId: string | null;
  /** Whether it is another definition, which has another version. */
  readonly edited: boolean;
}

/**
 * Moves locked accounts to a status; failures of before are forgotten. An instance whose turn it is ends that first.
 * @param live instances that have their turns if the status asks for something
 */
export async function enterStatus(
  db: Db,
  dialect: SqlDialect,
  names: readonly string[],
  status: AccountStatus,
  live: Iterable<string>,
  changed?: ChangedDefinition,
): Promise<void> {
  const atRest = aimOf(status) === undefined;
  await db
    .updateTable('kubesvc_accounts')
    .set({
      status,
      failed_count: 0,
      error_message: null,
      last_updated: dialect.nowMs,
      due_time: atRest ? null : dueNow(dialect),
      waiting_cd_ids: atRest ? null : waitingText(live),
      ...(changed === undefined ? {} : changedColumns(dialect, changed)),
    })
    .where('name', 'in', names)
    .execute();
}

function changedColumns({ nowMs }: SqlDialect, { definition, zoneId, edited }: ChangedDefinition) {
  return {
    definition,
    zone_id: zoneId,
    ...(edited ? { definition_version: sql<number>`greatest(definition_version + 1, ${nowMs})` } : {}),
  };
}
