/** The statements on kubesvc_accounts for all accounts, dynamic or not: one function for each. */

import { sql, type Kysely } from 'kysely';

import type { AccountStatus } from './account-lifecycle.js';
import type { AccountRecord } from './account-record.js';
import { accountRecord, parseProperties, statusOf } from './account-row.js';
import { batches } from '../../core/batches.js';
import { msAgo } from '../sql/clock.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

export interface LockedAccount {
  readonly name: string;
  readonly version: number;
  readonly status: AccountStatus;
  readonly dynamic: boolean;
  /** The agent that may still be caching although its stream broke. */
  readonly heldBy: string | undefined;
  /** Whether the row has a hold, expired or not. */
  readonly hold: boolean;
  readonly zoneId: string;
}

/** Locks the rows of the accounts, in name order so that two transactions never wait for each other. */
export async function lockAccounts(db: Db, dialect: SqlDialect, names: readonly string[]): Promise<LockedAccount[]> {
  const rows = await db
    .selectFrom('kubesvc_accounts')
    .select(['name', 'assignments_version', 'status', 'dynamic', 'zone_id', 'caching_agent_id', 'caching_free_time'])
    .select(sql<number>`case when caching_free_time > ${dialect.nowMs} then 1 else 0 end`.as('held'))
    .where('name', 'in', names)
    .orderBy('name')
    .forUpdate()
    .execute();
  return rows.map((row) => ({
    name: row.name,
    version: row.assignments_version,
    status: statusOf(row),
    dynamic: Boolean(row.dynamic),
    heldBy: Number(row.held) === 1 ? (row.caching_agent_id ?? '') : undefined,
    hold: row.caching_free_time > 0,
    zoneId: row.zone_id ?? '',
  }));
}

/** Clears earlier errors: agents serve these accounts. */
export async function forgetFailures(db: Db, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await db
    .updateTable('kubesvc_accounts')
    .set({ error_message: null, failed_count: 0 })
    .where('name', 'in', names)
    .execute();
}

/** Dynamic accounts that no agent serves any longer. */
export async function orphanAccounts(db: Db, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await db.updateTable('kubesvc_accounts').set({ status: 'ORPHANED' }).where('name', 'in', names).execute();
}

/** Counts the assignments of locked accounts anew and raises their versions by one. */
export async function bumpAccounts(db: Db, dialect: SqlDialect, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await db
    .updateTable('kubesvc_accounts')
    .set((eb) => ({
      assignments_version: eb('assignments_version', '+', 1),
      connections: eb
        .selectFrom('kubesvc_assignments')
        .select((count) => count.fn.countAll<number>().as('count'))
        .whereRef('kubesvc_assignments.account_name', '=', 'kubesvc_accounts.name')
        .$asScalar(),
      last_updated: dialect.nowMs,
    }))
    .where('name', 'in', names)
    .execute();
}

export async function selectAccount(db: Db, name: string): Promise<AccountRecord | undefined> {
  const row = await db.selectFrom('kubesvc_accounts').selectAll().where('name', '=', name).executeTakeFirst();
  return row === undefined ? undefined : accountRecord(row);
}

/** Those of `names` that have a row, by their names. */
export async function selectAccounts(db: Db, names: readonly string[]): Promise<Map<string, AccountRecord>> {
  const found = new Map<string, AccountRecord>();
  for (const batch of batches(names)) {
    const rows = await db.selectFrom('kubesvc_accounts').selectAll().where('name', 'in', batch).execute();
    for (const row of rows) found.set(row.name, accountRecord(row));
  }
  return found;
}

/** The `limit` accounts after the name `after`, in name order. */
export async function selectAccountPage(db: Db, after: string, limit: number): Promise<AccountRecord[]> {
  const rows = await db
    .selectFrom('kubesvc_accounts')
    .selectAll()
    .where('name', '>', after)
    .orderBy('name')
    .limit(limit)
    .execute();
  return rows.map(accountRecord);
}

/** Those of `names` that have a row. */
export async function selectKnownAccounts(db: Db, names: readonly string[]): Promise<Set<string>> {
  const known = new Set<string>();
  for (const batch of batches(names)) {
    const rows = await db.selectFrom('kubesvc_accounts').select('name').where('name', 'in', batch).execute();
    for (const row of rows) known.add(row.name);
  }
  return known;
}

/** What agents said of the accounts among `names` that are there. */
export async function selectProperties(
  db: Db,
  names: readonly string[],
): Promise<Map<string, Readonly<Record<string, string>>>> {
  const found = new Map<string, Readonly<Record<string, string>>>();
  for (const batch of batches(names)) {
    const rows = await db.selectFrom('kubesvc_accounts').select(['name', 'props']).where('name', 'in', batch).execute();
    for (const { name, props } of rows) found.set(name, parseProperties(props).properties ?? {});
  }
  return found;
}

/** Accounts of agents (not dynamic ones) that have had no agent for `ms`, in name order. */
export async function selectIdleAccounts(db: Db, dialect: SqlDialect, ms: number, limit: number): Promise<string[]> {
  const rows = await idleAccounts(db, dialect, ms).orderBy('name').limit(limit).execute();
  return rows.map((row) => row.name);
}

/** Those of `names` that selectIdleAccounts() would give. */
export async function selectIdleAmong(
  db: Db,
  dialect: SqlDialect,
  ms: number,
  names: readonly string[],
): Promise<string[]> {
  const rows = await idleAccounts(db, dialect, ms).where('name', 'in', names).execute();
  return rows.map((row) => row.name);
}

function idleAccounts(db: Db, dialect: SqlDialect, ms: number) {
  return db
    .selectFrom('kubesvc_accounts')
    .select('name')
    .where('dynamic', '=', false)
    .where('caching_free_time', '=', 0)
    .where('last_updated', '<=', msAgo(dialect, ms))
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('kubesvc_assignments')
            .select('kubesvc_assignments.id')
            .whereRef('kubesvc_assignments.account_name', '=', 'kubesvc_accounts.name'),
        ),
      ),
    );
}

export async function deleteAccounts(db: Db, names: readonly string[]): Promise<void> {
  if (names.length > 0) await db.deleteFrom('kubesvc_accounts').where('name', 'in', names).execute();
}
