/**
 * Turns: how replicas together fulfil requests for dynamic accounts.
 *
 * An account that needs something is due, and waits for a turn of every live instance, because only the instance that
 * holds an agent's stream can ask that agent. One instance at a time has its turn: it claims the row until a time on
 * the database's clock, and a replica that has lost its claim can no longer change anything (`write_token`).
 */

import { randomUUID } from 'node:crypto';
import { sql, type ExpressionBuilder, type Kysely, type RawBuilder, type Selectable } from 'kysely';

import {
  accountStatuses,
  afterTurn,
  aimOf,
  isServable,
  nextStatus,
  type AccountStatus,
  type NextStatus,
  type TurnOutcome,
} from './account-lifecycle.js';
import { selectLiveInstances } from './assignment-statements.js';
import { batches, batchSize } from '../core/batches.js';
import type { Database } from './database.js';
import { waitingIds, waitingText } from './dynamic-accounts.js';
import { unbindAccounts } from './owners.js';
import type { AccountsTable, Schema } from './schema.js';
import { storable } from './storable-text.js';

export interface DueAccount {
  readonly name: string;
  readonly status: AccountStatus;
  readonly aim: 'serve' | 'clear';
  readonly zoneId: string;
  readonly definition: string | undefined;
  readonly definitionVersion: number;
  /** Whether this instance's turn is still to come; otherwise the account waits for no live instance. */
  readonly waitsForMe: boolean;
}

/** An account that this instance has claimed. */
export interface Turn extends DueAccount {
  readonly token: string;
}

export interface AccountTurnsOptions {
  readonly instanceId: string;
  /** An instance is alive while its last heartbeat is younger, in ms. */
  readonly leaseMs: number;
  /** How long a turn may take, in ms. */
  readonly claimMs: number;
  readonly maxRetries: number;
  readonly retryMs: number;
}

export interface TurnEnd {
  /** `superseded`: the claim was lost, or there is a newer request for the account. */
  readonly status: NextStatus | 'superseded';
  /** Errors of this round so far. */
  readonly errorMessage?: string | undefined;
}

/** States of accounts that agents should serve; a failed account is only tried again by a retry or a request. */
const unfailed = accountStatuses.filter((status) => isServable(status) && status !== 'FAILED');

export class AccountTurns {
  readonly #database: Database;
  readonly #options: AccountTurnsOptions;

  constructor(database: Database, options: AccountTurnsOptions) {
    this.#database = database;
    this.#options = options;
  }

  /** Accounts that wait for this instance, or for no live one; `limit` at most. */
  async due(limit: number, signal: AbortSignal): Promise<readonly DueAccount[]> {
    const { dialect } = this.#database;
    const rows = await this.#database.run(
      (db) =>
        db
          .selectFrom('kubesvc_accounts')
          .selectAll()
          .where('due_time', '<=', dialect.nowMs)
          .where((eb) => eb.or([this.#waitsForMe(), eb.not(this.#waitsForSomebody(eb))]))
          .orderBy('due_time')
          .limit(limit)
          .execute(),
      signal,
    );
    return rows.flatMap((row) => this.#dueAccount(row));
  }

  /** Begins this instance's turn for those of the accounts that are still due and unchanged. */
  async begin(accounts: readonly DueAccount[], signal: AbortSignal): Promise<readonly Turn[]> {
    const turns: Turn[] = [];
    for (const batch of batches(accounts)) {
      const token = randomUUID();
      turns.push(...(await this.#database.transaction((trx) => this.#begin(trx, batch, token), signal)));
    }
    return turns;
  }

  /** Gives up this instance's turn for accounts that its agents cannot serve or clear. */
  async pass(names: readonly string[], signal: AbortSignal): Promise<void> {
    for (const batch of batches(names)) {
      await this.#database.run(
        (db) =>
          db
            .updateTable('kubesvc_accounts')
            .set({ waiting_cd_ids: sql<string>`replace(waiting_cd_ids, ${this.#me}, '')` })
            .where('name', 'in', batch)
            .where('due_time', '<=', this.#database.dialect.nowMs)
            .execute(),
        signal,
      );
    }
  }

  /** Ends this instance's turn. */
  finish(turn: Turn, outcome: TurnOutcome, signal: AbortSignal): Promise<TurnEnd> {
    return this.#database.transaction((trx) => this.#finish(trx, turn, outcome), signal);
  }

  /**
   * Returns unfulfilled claims, so that another instance can take them: claims of a dead instance, or of this one when
   * it stops.
   */
  async release(instanceId: string, signal: AbortSignal): Promise<void> {
    const { dialect } = this.#database;
    await this.#database.run(
      (db) =>
        db
          .updateTable('kubesvc_accounts')
          .set({ claimed_by_cd_id: null, write_token: null, due_time: dialect.nowMs })
          .where('due_time', 'is not', null)
          .where('claimed_by_cd_id', '=', instanceId)
          .execute(),
      signal,
    );
  }

  /**
   * Accounts that agents of a zone should serve, with the versions of their definitions; `limit` accounts after
   * `after`.
   */
  async ofZone(
    zoneId: string,
    after: string,
    limit: number,
    signal: AbortSignal,
  ): Promise<readonly { readonly name: string; readonly definitionVersion: number }[]> {
    const rows = await this.#database.run(
      (db) =>
        db
          .selectFrom('kubesvc_accounts')
          .select(['name', 'definition_version'])
          .where('zone_id', 'in', [...new Set([zoneId, ''])])
          .where('dynamic', '=', true)
          .where('status', 'in', unfailed)
          .where('name', '>', after)
          .orderBy('name')
          .limit(Math.min(limit, batchSize))
          .execute(),
      signal,
    );
    return rows.map((row) => ({ name: row.name, definitionVersion: Math.max(1, row.definition_version) }));
  }

  /** Requests a turn of this instance: an agent has connected that should serve the accounts and does not. */
  async join(names: readonly string[], signal: AbortSignal): Promise<void> {
    for (const batch of batches(names)) await this.#database.transaction((trx) => this.#join(trx, batch), signal);
  }

  get #me(): string {
    return waitingText([this.#options.instanceId]);
  }

  #waitsForMe(): RawBuilder<boolean> {
    return sql<boolean>`position(${this.#me} in coalesce(waiting_cd_ids, '')) > 0`;
  }

  #waitsForSomebody(eb: ExpressionBuilder<Schema, 'kubesvc_accounts'>) {
    const { dialect } = this.#database;
    const { leaseMs } = this.#options;
    return eb.exists(
      eb
        .selectFrom('kubesvc_instances')
        .select('kubesvc_instances.id')
        .where('kubesvc_instances.last_updated', '>', sql<number>`${dialect.nowMs} - ${sql.lit(leaseMs)}`)
        .where(
          sql<boolean>`position(concat(${sql.lit('\n')}, kubesvc_instances.id, ${sql.lit('\n')}) in coalesce(waiting_cd_ids, '')) > 0`,
        ),
    );
  }

  async #join(db: Kysely<Schema>, accounts: readonly string[]): Promise<void> {
    const { dialect } = this.#database;
    const rows = await db
      .selectFrom('kubesvc_accounts')
      .select(['name', 'waiting_cd_ids'])
      .where('name', 'in', accounts)
      .where('dynamic', '=', true)
      .where('status', 'in', unfailed)
      .orderBy('name')
      .forUpdate()
      .execute();
    for (const text of new Set(rows.map((row) => row.waiting_cd_ids))) {
      const names = rows.filter((row) => row.waiting_cd_ids === text).map(({ name }) => name);
      await db
        .updateTable('kubesvc_accounts')
        .set({
          waiting_cd_ids: waitingText(new Set([...waitingIds(text), this.#options.instanceId])),
          due_time: sql<number>`case when claimed_by_cd_id is null then ${dialect.nowMs} else due_time end`,
        })
        .where('name', 'in', names)
        .execute();
    }
  }

  async #begin(db: Kysely<Schema>, accounts: readonly DueAccount[], token: string): Promise<Turn[]> {
    const { dialect } = this.#database;
    const { instanceId, claimMs } = this.#options;
    for (const from of new Set(accounts.map(({ status }) => status))) {
      const to = nextStatus(from, 'take');
      if (to === undefined) continue;
      const names = accounts.filter(({ status }) => status === from).map(({ name }) => name);
      await db
        .updateTable('kubesvc_accounts')
        .set({
          ...{ status: to, claimed_by_cd_id: instanceId, write_token: token, last_updated: dialect.nowMs },
          due_time: sql<number>`${dialect.nowMs} + ${sql.lit(claimMs)}`,
          // A new attempt: the reason of the last failure no longer counts.
          ...(from === 'FAILED' ? { error_message: null } : {}),
        })
        .where('name', 'in', names)
        .where('status', '=', from)
        .where('due_time', '<=', dialect.nowMs)
        .execute();
    }
    const names = accounts.map(({ name }) => name);
    const rows = await db
      .selectFrom('kubesvc_accounts')
      .selectAll()
      .where('name', 'in', names)
      .where('write_token', '=', token)
      .execute();
    return rows.flatMap((row) => this.#dueAccount(row).map((account) => ({ ...account, token })));
  }

  async #finish(db: Kysely<Schema>, turn: Turn, outcome: TurnOutcome): Promise<TurnEnd> {
    const { dialect } = this.#database;
    const { instanceId, leaseMs, maxRetries, retryMs } = this.#options;
    const { name } = turn;
    const row = await db
      .selectFrom('kubesvc_accounts')
      .selectAll()
      .where('name', '=', name)
      .forUpdate()
      .executeTakeFirst();
    const [account] = row === undefined ? [] : this.#dueAccount(row);
    if (row === undefined) return { status: 'DELETED' };
    if (row.write_token !== turn.token) return { status: 'superseded' };
    const update = db.updateTable('kubesvc_accounts').where('name', '=', name);
    const free = { claimed_by_cd_id: null, write_token: null, last_updated: dialect.nowMs };
    const moved = turn.zoneId !== '' && account?.zoneId !== turn.zoneId;
    if (account?.aim !== turn.aim || account.definitionVersion !== turn.definitionVersion || moved) {
      await update.set({ ...free, due_time: account === undefined ? null : dialect.nowMs }).execute();
      return { status: 'superseded' };
    }
    const live = await selectLiveInstances(db, dialect, leaseMs);
    const waiting = waitingIds(row.waiting_cd_ids).filter((id) => id !== instanceId && live.has(id));
    const assigned = await db
      .selectFrom('kubesvc_assignments')
      .select('id')
      .where('account_name', '=', name)
      .executeTakeFirst();
    const after = afterTurn(outcome, {
      ...{ status: account.status, zoneId: account.zoneId, maxRetries },
      failedCount: row.failed_count ?? 0,
      errorMessage: row.error_message ?? undefined,
      assigned: assigned !== undefined,
      othersWait: waiting.length > 0,
    });
    if (after.status === 'DELETED') {
      await db.deleteFrom('kubesvc_accounts').where('name', '=', name).execute();
      await unbindAccounts(db, [name]);
      return after;
    }
    await update
      .set({
        ...free,
        ...{ status: after.status, failed_count: after.failedCount, error_message: storable(after.errorMessage) },
        ...{
          now: { due_time: dialect.nowMs, waiting_cd_ids: waitingText(waiting) },
          retry: {
            due_time: sql<number>`${dialect.nowMs} + ${sql.lit(retryMs)}`,
            waiting_cd_ids: waitingText(live),
          },
          none: { due_time: null, waiting_cd_ids: null },
        }[after.next],
      })
      .execute();
    return after;
  }

  /** None for an account without a request. */
  #dueAccount(row: Selectable<AccountsTable>): DueAccount[] {
    const status = (row.status ?? 'ACTIVE') as AccountStatus;
    const aim = aimOf(status);
    if (aim === undefined) return [];
    const { name, definition } = row;
    return [
      {
        ...{ name, status, aim, zoneId: row.zone_id ?? '', definition: definition ?? undefined },
        // Rows of Armory's plugin have none.
        definitionVersion: Math.max(1, row.definition_version),
        waitsForMe: waitingIds(row.waiting_cd_ids).includes(this.#options.instanceId),
      },
    ];
  }
}
