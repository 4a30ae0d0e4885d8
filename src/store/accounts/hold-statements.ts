/**
 * Holds of caching, as statements on kubesvc_accounts: one function for each. While an account is held, no agent begins to
 * cache it but the one that may still do so although its stream broke.
 */

import type { Kysely } from 'kysely';

import { msFromNow } from '../sql/clock.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

/** Holds the accounts for the agents that cache them now; the rows of the accounts are locked. */
export async function holdCaching(db: Db, dialect: SqlDialect, names: readonly string[], ms: number): Promise<void> {
  if (names.length === 0) return;
  await db
    .updateTable('kubesvc_accounts')
    .set((eb) => ({
      caching_free_time: msFromNow(dialect, Math.ceil(ms)),
      caching_agent_id: eb
        .selectFrom('kubesvc_assignments')
        .select('kubesvc_assignments.agent_id')
        .whereRef('kubesvc_assignments.account_name', '=', 'kubesvc_accounts.name')
        .where('kubesvc_assignments.caching', '=', true)
        .limit(1),
    }))
    .where('name', 'in', names)
    .execute();
}

export async function deleteHolds(db: Db, names: readonly string[]): Promise<void> {
  if (names.length > 0) await withoutHold(db, names).execute();
}

/** Ends only expired holds: the account may have a new one. */
export async function deleteEndedHolds(db: Db, dialect: SqlDialect, names: readonly string[]): Promise<void> {
  await withoutHold(db, names).where('caching_free_time', '<=', dialect.nowMs).execute();
}

function withoutHold(db: Db, names: readonly string[]) {
  return db
    .updateTable('kubesvc_accounts')
    .set({ caching_free_time: 0, caching_agent_id: null })
    .where('name', 'in', names);
}

/** Accounts with an expired hold that was not ended yet, in name order. */
export async function selectEndedHolds(db: Db, dialect: SqlDialect, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('kubesvc_accounts')
    .select('name')
    .where('caching_free_time', '>', 0)
    .where('caching_free_time', '<=', dialect.nowMs)
    .orderBy('name')
    .limit(limit)
    .execute();
  return rows.map((row) => row.name);
}
