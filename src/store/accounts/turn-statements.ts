/** The statements of turns, on dynamic accounts in kubesvc_accounts: one function for each. */

import { sql, type ExpressionBuilder, type Kysely, type RawBuilder, type Selectable } from 'kysely';

import type { AccountStatus, AfterTurn } from './account-lifecycle.js';
import { waitingText } from './account-row.js';
import { msAgo, msFromNow } from '../sql/clock.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { AccountsTable, Schema } from '../sql/schema.js';
import { storable } from '../sql/storable-text.js';

type Db = Kysely<Schema>;

/** Due accounts that wait for the instance, or for none that is alive; `limit` at most. */
export function selectDueAccounts(
  db: Db,
  dialect: SqlDialect,
  { instanceId, leaseMs }: { readonly instanceId: string; readonly leaseMs: number },
  limit: number,
): Promise<Selectable<AccountsTable>[]> {
  return db
    .selectFrom('kubesvc_accounts')
    .selectAll()
    .where('due_time', '<=', dialect.nowMs)
    .where((eb) => eb.or([waitsFor(instanceId), eb.not(waitsForLive(eb, dialect, leaseMs))]))
    .orderBy('due_time')
    .limit(limit)
    .execute();
}

function waitsFor(instanceId: string): RawBuilder<boolean> {
  return sql<boolean>`position(${waitingText([instanceId])} in coalesce(waiting_cd_ids, '')) > 0`;
}

function waitsForLive(eb: ExpressionBuilder<Schema, 'kubesvc_accounts'>, dialect: SqlDialect, leaseMs: number) {
  return eb.exists(
    eb
      .selectFrom('kubesvc_instances')
      .select('kubesvc_instances.id')
      .where('kubesvc_instances.last_updated', '>', msAgo(dialect, leaseMs))
      .where(
        sql<boolean>`position(concat(${sql.lit('\n')}, kubesvc_instances.id, ${sql.lit('\n')}) in coalesce(waiting_cd_ids, '')) > 0`,
      ),
  );
}

/** What a turn's row is claimed with. */
export interface TurnClaim {
  readonly instanceId: string;
  readonly token: string;
  /** How long the turn may take, in ms. */
  readonly claimMs: number;
}

/** Claims those of the accounts that are still due and in the status `from`, and moves them to `to`. */
export async function claimDueAccounts(
  db: Db,
  dialect: SqlDialect,
  names: readonly string[],
  { from, to }: { readonly from: AccountStatus; readonly to: string },
  { instanceId, token, claimMs }: TurnClaim,
): Promise<void> {
  await db
    .updateTable('kubesvc_accounts')
    .set({
      status: to,
      claimed_by_cd_id: instanceId,
      write_token: token,
      last_updated: dialect.nowMs,
      due_time: msFromNow(dialect, claimMs),
      // A new attempt: the reason of the last failure no longer counts.
      ...(from === 'FAILED' ? { error_message: null } : {}),
    })
    .where('name', 'in', names)
    .where('status', '=', from)
    .where('due_time', '<=', dialect.nowMs)
    .execute();
}

/** Those of the accounts that were claimed with the token. */
export function selectClaimed(db: Db, names: readonly string[], token: string): Promise<Selectable<AccountsTable>[]> {
  return db
    .selectFrom('kubesvc_accounts')
    .selectAll()
    .where('name', 'in', names)
    .where('write_token', '=', token)
    .execute();
}

/** Ends the instance's turns where they are: the accounts are due again. */
export async function releaseTurns(db: Db, dialect: SqlDialect, instanceId: string): Promise<void> {
  await db
    .updateTable('kubesvc_accounts')
    .set({ claimed_by_cd_id: null, write_token: null, due_time: dialect.nowMs })
    .where('due_time', 'is not', null)
    .where('claimed_by_cd_id', '=', instanceId)
    .execute();
}

export function lockTurn(db: Db, name: string): Promise<Selectable<AccountsTable> | undefined> {
  return db.selectFrom('kubesvc_accounts').selectAll().where('name', '=', name).forUpdate().executeTakeFirst();
}

/** Whether any agent of the cluster serves the account. */
export async function isAssigned(db: Db, name: string): Promise<boolean> {
  const row = await db
    .selectFrom('kubesvc_assignments')
    .select('id')
    .where('account_name', '=', name)
    .executeTakeFirst();
  return row !== undefined;
}

/** Ends the turn of a locked account without an outcome. @param due whether it is due again at once, or no more */
export async function dropTurn(db: Db, dialect: SqlDialect, name: string, due: boolean): Promise<void> {
  await db
    .updateTable('kubesvc_accounts')
    .where('name', '=', name)
    .set({ ...unclaimed(dialect), due_time: due ? dialect.nowMs : null })
    .execute();
}

/** Whom an account waits for after a turn. */
export interface NextTurns {
  /** Live instances that have not had their turn in this round. */
  readonly waiting: readonly string[];
  /** All live instances, for a retry. */
  readonly live: Iterable<string>;
  readonly retryMs: number;
}

/** Ends the turn of a locked account. */
export async function endTurn(
  db: Db,
  dialect: SqlDialect,
  name: string,
  { status, failedCount, errorMessage, next }: AfterTurn,
  { waiting, live, retryMs }: NextTurns,
): Promise<void> {
  const due = {
    now: { due_time: dialect.nowMs, waiting_cd_ids: waitingText(waiting) },
    retry: { due_time: msFromNow(dialect, retryMs), waiting_cd_ids: waitingText(live) },
    none: { due_time: null, waiting_cd_ids: null },
  }[next];
  await db
    .updateTable('kubesvc_accounts')
    .where('name', '=', name)
    .set({
      ...unclaimed(dialect),
      status,
      failed_count: failedCount,
      error_message: storable(errorMessage),
      ...due,
    })
    .execute();
}

function unclaimed({ nowMs }: SqlDialect) {
  return { claimed_by_cd_id: null, write_token: null, last_updated: nowMs };
}

export async function deleteAccount(db: Db, name: string): Promise<void> {
  await db.deleteFrom('kubesvc_accounts').where('name', '=', name).execute();
}
