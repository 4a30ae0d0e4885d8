/** kubesvc_accounts: accounts that agents registered, and accounts added through the API. */

import type { AccountRecord } from './account-record.js';
import {
  deleteAccounts,
  lockAccounts,
  selectAccount,
  selectAccountPage,
  selectAccounts,
  selectIdleAccounts,
  selectIdleAmong,
  selectKnownAccounts,
  selectProperties,
} from './account-statements.js';
import { batchSize } from '../../core/batches.js';
import type { Database } from '../sql/database.js';

export class AccountStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  find(name: string, signal?: AbortSignal): Promise<AccountRecord | undefined> {
    return this.#database.run((db) => selectAccount(db, name), signal);
  }

  /** The accounts among `names` that have a row, by their names. */
  findAll(names: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, AccountRecord>> {
    return this.#database.run((db) => selectAccounts(db, names), signal);
  }

  /** The accounts among `names` that were ever registered. */
  known(names: readonly string[], signal?: AbortSignal): Promise<Set<string>> {
    return this.#database.run((db) => selectKnownAccounts(db, names), signal);
  }

  /** Properties of the accounts among `names` that are there, by their names. */
  properties(
    names: readonly string[],
    signal?: AbortSignal,
  ): Promise<ReadonlyMap<string, Readonly<Record<string, string>>>> {
    return this.#database.run((db) => selectProperties(db, names), signal);
  }

  /** `limit` accounts after the name `after` ('' for the first), in name order. */
  list(after: string, limit: number, signal?: AbortSignal): Promise<readonly AccountRecord[]> {
    return this.#database.run((db) => selectAccountPage(db, after, limit), signal);
  }

  /**
   * Removes accounts of agents (not dynamic ones) that no agent has served for `olderThanMs`; `limit` at most, and
   * 500 at most.
   * @returns their names
   */
  async removeWithoutAgents(olderThanMs: number, limit: number, signal?: AbortSignal): Promise<readonly string[]> {
    const { dialect } = this.#database;
    return this.#database.transaction(async (trx) => {
      const candidates = await selectIdleAccounts(trx, dialect, olderThanMs, Math.min(limit, batchSize));
      if (candidates.length === 0) return [];
      await lockAccounts(trx, dialect, candidates);
      // Checked again, now that nobody can claim them.
      const names = await selectIdleAmong(trx, dialect, olderThanMs, candidates);
      await deleteAccounts(trx, names);
      return names;
    }, signal);
  }
}
