/** kubesvc_clouddriver_accounts: what became of accounts at Clouddriver, which one instance writes and all show. */

import {
  deleteClouddriverAccounts,
  selectClouddriverAccounts,
  selectClouddriverAccountsNamed,
  upsertClouddriverAccounts,
} from './clouddriver-account-statements.js';
import type { ClouddriverAccountRecord } from './clouddriver-account-record.js';
import type { Database } from '../sql/database.js';

export class ClouddriverAccountStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** All, in the order of names. */
  list(signal?: AbortSignal): Promise<readonly ClouddriverAccountRecord[]> {
    return this.#database.run((db) => selectClouddriverAccounts(db), signal);
  }

  /** Those of `names` that Clouddriver has, should have, or refuses. */
  named(names: readonly string[], signal?: AbortSignal): Promise<readonly ClouddriverAccountRecord[]> {
    return this.#database.run((db) => selectClouddriverAccountsNamed(db, names), signal);
  }

  async write(
    changed: readonly Omit<ClouddriverAccountRecord, 'lastUpdated'>[],
    removed: readonly string[],
    signal?: AbortSignal,
  ): Promise<void> {
    const { dialect } = this.#database;
    await this.#database.transaction(async (trx) => {
      await upsertClouddriverAccounts(trx, dialect, changed);
      await deleteClouddriverAccounts(trx, removed);
    }, signal);
  }
}
