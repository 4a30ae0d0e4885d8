/**
 * kubesvc_token_revocations: when the tokens of accounts were revoked last, in ms UTC. A row stays when its account is
 * removed: tokens outlive accounts.
 */

import { insertNeverRevoked, selectAllRevoked, selectRevoked, updateRevoked } from './token-revocation-statements.js';
import type { Database } from '../sql/database.js';

export class TokenRevocationStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** @returns the time of this revocation, later than that of any before */
  revoke(account: string, signal: AbortSignal): Promise<number> {
    const { dialect } = this.#database;
    return this.#database.transaction(async (trx) => {
      await insertNeverRevoked(trx, dialect, account);
      await updateRevoked(trx, dialect, account);
      return (await selectRevoked(trx, account)) ?? 0;
    }, signal);
  }

  /** Of every account whose tokens were ever revoked. */
  all(signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
    return this.#database.run((db) => selectAllRevoked(db), signal);
  }
}
