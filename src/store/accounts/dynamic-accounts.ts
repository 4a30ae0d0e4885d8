/**
 * Dynamic accounts in kubesvc_accounts, as the API makes, changes and reads them. account-turns.ts fulfils the
 * requests.
 */

import { randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';

import { nextStatus, type AccountRequest, type AccountStatus } from './account-lifecycle.js';
import type {
  AccountRecord,
  DynamicAccountFilter,
  DynamicAccountSummary,
  NewDynamicAccount,
} from './account-record.js';
import {
  enterStatus,
  insertDynamicAccounts,
  lockDefinitions,
  selectDynamicAccounts,
  selectDynamicSummaries,
  selectPresentAccounts,
} from './dynamic-account-statements.js';
import { selectLiveInstances } from '../instances/instance-statements.js';
import { batches } from '../../core/batches.js';
import type { Database } from '../sql/database.js';
import { unbindAccounts } from './principal-statements.js';
import type { Schema } from '../sql/schema.js';

export interface AccountChange {
  readonly name: string;
  readonly request?: AccountRequest | undefined;
  readonly zoneId?: string | undefined;
  /** Pure: called once the account's row is locked, and again if the transaction is repeated. */
  readonly edit?: ((definition: string | undefined) => string) | undefined;
}

/** `refused`: the account's state does not allow it. */
export type ChangeOutcome = 'accepted' | 'unknown' | 'not-dynamic' | 'refused';

export interface ChangeResult {
  readonly name: string;
  readonly outcome: ChangeOutcome;
  /** Before the change; absent for unknown ones. */
  readonly status?: AccountStatus;
}

export interface DynamicAccountStoreOptions {
  /** An instance is alive while its last heartbeat is younger, in ms. */
  readonly leaseMs: number;
}

export class DynamicAccountStore {
  readonly #database: Database;
  readonly #leaseMs: number;

  constructor(database: Database, { leaseMs }: DynamicAccountStoreOptions) {
    this.#database = database;
    this.#leaseMs = leaseMs;
  }

  /**
   * Adds accounts, each name once.
   * @returns existing accounts with these names, dynamic or not; they are left unchanged
   */
  async create(accounts: readonly NewDynamicAccount[], signal?: AbortSignal): Promise<readonly AccountRecord[]> {
    const token = randomUUID();
    const present: AccountRecord[] = [];
    for (const batch of batches(accounts)) {
      present.push(...(await this.#database.transaction((trx) => this.#create(trx, batch, token), signal)));
    }
    return present;
  }

  /** Applies each change that is possible, in the order of names. @returns the outcome of each, in that order */
  async change(changes: readonly AccountChange[], signal?: AbortSignal): Promise<readonly ChangeResult[]> {
    const sorted = changes.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const results: ChangeResult[] = [];
    for (const batch of batches(sorted)) {
      results.push(...(await this.#database.transaction((trx) => this.#change(trx, batch), signal)));
    }
    return results;
  }

  /** `limit` dynamic accounts after the name `after` ('' for the first), in name order. */
  list(
    filter: DynamicAccountFilter,
    after: string,
    limit: number,
    signal?: AbortSignal,
  ): Promise<readonly AccountRecord[]> {
    return this.#database.run((db) => selectDynamicAccounts(db, filter, after, limit), signal);
  }

  /** As list(), without the definitions and other large fields. */
  summaries(after: string, limit: number, signal?: AbortSignal): Promise<readonly DynamicAccountSummary[]> {
    return this.#database.run((db) => selectDynamicSummaries(db, after, limit), signal);
  }

  async #create(db: Kysely<Schema>, accounts: readonly NewDynamicAccount[], token: string): Promise<AccountRecord[]> {
    const { dialect } = this.#database;
    const live = await selectLiveInstances(db, dialect, this.#leaseMs);
    await insertDynamicAccounts(db, dialect, accounts, live, token);
    const names = accounts.map(({ name }) => name);
    return selectPresentAccounts(db, names, token);
  }

  async #change(db: Kysely<Schema>, changes: readonly AccountChange[]): Promise<ChangeResult[]> {
    const { dialect } = this.#database;
    const names = changes.map(({ name }) => name);
    const accounts = new Map((await lockDefinitions(db, names)).map((account) => [account.name, account]));
    const live = await selectLiveInstances(db, dialect, this.#leaseMs);

    /** Accounts that only change their state, grouped by new state: one statement each. */
    const entering = new Map<AccountStatus, string[]>();
    const results: ChangeResult[] = [];
    for (const { name, request, zoneId, edit } of changes) {
      const account = accounts.get(name);
      if (account === undefined) {
        results.push({ name, outcome: 'unknown' });
        continue;
      }
      const { status, dynamic } = account;
      const next = request === undefined ? status : nextStatus(status, request);
      if (!dynamic || next === undefined || next === 'DELETED') {
        results.push({ name, status, outcome: dynamic ? 'refused' : 'not-dynamic' });
        continue;
      }
      results.push({ name, status, outcome: 'accepted' });
      const definition = edit?.(account.definition ?? undefined) ?? account.definition;
      const edited = definition !== account.definition;
      const moved = zoneId !== undefined && zoneId !== (account.zoneId ?? '');
      if (!edited && !moved) {
        if (next !== status) entering.set(next, [...(entering.get(next) ?? []), name]);
        continue;
      }
      // Agents of another zone, perhaps of another principal, should serve it.
      if (moved) await unbindAccounts(db, [name]);
      await enterStatus(db, dialect, [name], next, live, { definition, zoneId: zoneId ?? account.zoneId, edited });
    }
    for (const [status, names] of entering) await enterStatus(db, dialect, names, status, live);
    return results;
  }
}
