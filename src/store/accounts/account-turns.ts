/**
 * Turns: how replicas together fulfil requests for dynamic accounts.
 *
 * An account that needs something is due, and waits for a turn of every live instance, because only the instance that
 * holds an agent's stream can ask that agent. One instance at a time has its turn: it claims the row until a time on
 * the database's clock, and a replica that has lost its claim can no longer change anything (`write_token`).
 */

import { randomUUID } from 'node:crypto';
import type { Kysely, Selectable } from 'kysely';

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
import { statusOf, waitingIds } from './account-row.js';
import { selectLiveInstances } from '../instances/instance-statements.js';
import { batches } from '../../core/batches.js';
import type { Database } from '../sql/database.js';
import { unbindAccounts } from './owner-statements.js';
import type { AccountsTable, Schema } from '../sql/schema.js';
import {
  claimDueAccounts,
  deleteAccount,
  dropTurn,
  endTurn,
  isAssigned,
  lockTurn,
  releaseTurns,
  selectClaimed,
  selectDueAccounts,
} from './turn-statements.js';
import { lockWaiting, selectAccountsOfZone, stopWaitingFor, waitFor } from './waiting-statements.js';

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
  /** What went wrong in this round so far. */
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
    const rows = await this.#database.run((db) => selectDueAccounts(db, dialect, this.#options, limit), signal);
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
    const { dialect } = this.#database;
    const { instanceId } = this.#options;
    for (const batch of batches(names)) {
      await this.#database.run((db) => stopWaitingFor(db, dialect, instanceId, batch), signal);
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
  release(instanceId: string, signal: AbortSignal): Promise<void> {
    return this.#database.run((db) => releaseTurns(db, this.#database.dialect, instanceId), signal);
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
    const rows = await this.#database.run((db) => selectAccountsOfZone(db, zoneId, unfailed, after, limit), signal);
    return rows.map((row) => ({ name: row.name, definitionVersion: versionOf(row) }));
  }

  /** Requests a turn of this instance: an agent has connected that should serve the accounts and does not. */
  async join(names: readonly string[], signal: AbortSignal): Promise<void> {
    for (const batch of batches(names)) await this.#database.transaction((trx) => this.#join(trx, batch), signal);
  }

  async #join(db: Kysely<Schema>, accounts: readonly string[]): Promise<void> {
    const { dialect } = this.#database;
    const rows = await lockWaiting(db, accounts, unfailed);
    for (const text of new Set(rows.map((row) => row.waiting_cd_ids))) {
      const names = rows.filter((row) => row.waiting_cd_ids === text).map(({ name }) => name);
      await waitFor(db, dialect, new Set([...waitingIds(text), this.#options.instanceId]), names);
    }
  }

  async #begin(db: Kysely<Schema>, accounts: readonly DueAccount[], token: string): Promise<Turn[]> {
    const { dialect } = this.#database;
    const { instanceId, claimMs } = this.#options;
    for (const from of new Set(accounts.map(({ status }) => status))) {
      const to = nextStatus(from, 'take');
      if (to === undefined) continue;
      const names = accounts.filter(({ status }) => status === from).map(({ name }) => name);
      await claimDueAccounts(db, dialect, names, { from, to }, { instanceId, token, claimMs });
    }
    const names = accounts.map(({ name }) => name);
    const rows = await selectClaimed(db, names, token);
    return rows.flatMap((row) => this.#dueAccount(row).map((account) => ({ ...account, token })));
  }

  async #finish(db: Kysely<Schema>, turn: Turn, outcome: TurnOutcome): Promise<TurnEnd> {
    const { dialect } = this.#database;
    const { instanceId, leaseMs, maxRetries, retryMs } = this.#options;
    const { name } = turn;
    const row = await lockTurn(db, name);
    if (row === undefined) return { status: 'DELETED' };
    if (row.write_token !== turn.token) return { status: 'superseded' };
    const [account] = this.#dueAccount(row);
    const moved = turn.zoneId !== '' && account?.zoneId !== turn.zoneId;
    if (account?.aim !== turn.aim || account.definitionVersion !== turn.definitionVersion || moved) {
      await dropTurn(db, dialect, name, account !== undefined);
      return { status: 'superseded' };
    }
    const live = await selectLiveInstances(db, dialect, leaseMs);
    const waiting = waitingIds(row.waiting_cd_ids).filter((id) => id !== instanceId && live.has(id));
    const after = afterTurn(outcome, {
      status: account.status,
      zoneId: account.zoneId,
      maxRetries,
      failedCount: row.failed_count ?? 0,
      errorMessage: row.error_message ?? undefined,
      assigned: await isAssigned(db, name),
      othersWait: waiting.length > 0,
    });
    if (after.status === 'DELETED') {
      await deleteAccount(db, name);
      await unbindAccounts(db, [name]);
      return after;
    }
    await endTurn(db, dialect, name, after, { waiting, live, retryMs });
    return after;
  }

  /** None for an account without a request. */
  #dueAccount(row: Selectable<AccountsTable>): DueAccount[] {
    const status = statusOf(row);
    const aim = aimOf(status);
    if (aim === undefined) return [];
    const { name, definition } = row;
    return [
      {
        name,
        status,
        aim,
        zoneId: row.zone_id ?? '',
        definition: definition ?? undefined,
        definitionVersion: versionOf(row),
        waitsForMe: waitingIds(row.waiting_cd_ids).includes(this.#options.instanceId),
      },
    ];
  }
}

/** Rows that Armory's plugin left have none. */
function versionOf({ definition_version }: { readonly definition_version: number }): number {
  return Math.max(1, definition_version);
}
