/** kubesvc_clouddriver_accounts: what became of accounts at Clouddriver, which one instance writes and all show. */

import {
  deleteClouddriverAccounts,
  selectClouddriverAccounts,
  selectClouddriverAccountsNamed,
  upsertClouddriverAccounts,
} from './clouddriver-account-statements.js';
import type { Database } from '../sql/database.js';

export const clouddriverStates = [
  /** Clouddriver has it as it should be. */
  'registered',
  /** It is registered once an agent serves it and its cluster answers. */
  'waiting',
  /** Clouddriver refused the last write. */
  'refused',
  /** Clouddriver has an account of this name that another made: it is left alone. */
  'conflict',
  /** Clouddriver cannot have what is described. */
  'invalid',
  /** Gone here, and removed there after the clean-up time. */
  'leaving',
] as const;
export type ClouddriverState = (typeof clouddriverStates)[number];

export interface ClouddriverAccountRecord {
  readonly name: string;
  readonly state: ClouddriverState;
  /** Why, and what to do; without secrets. */
  readonly message?: string | undefined;
  /** Of state or message, ms UTC. */
  readonly lastUpdated: number;
}

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
