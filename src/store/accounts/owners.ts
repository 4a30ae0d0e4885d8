/**
 * kubesvc_owners: whose an account or a zone is. The first identity that registers it gets it, and nobody else does until
 * an operator releases it: the binding outlives the account's row, which goes when its agents are away for long.
 */

import { bind, deleteOwner, selectOwners, type OwnedKind, type Owner } from './owner-statements.js';
import type { Database } from '../sql/database.js';

export class OwnerStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Binds a zone that is nobody's.
   * @returns whether it is the owner's now
   */
  async bindZone(zoneId: string, owner: string, signal: AbortSignal): Promise<boolean> {
    const { dialect } = this.#database;
    const wanted = new Map([[zoneId, owner]]);
    const owners = await this.#database.transaction((trx) => bind(trx, dialect, 'zone', wanted), signal);
    return owners.get(zoneId) === owner;
  }

  /** `limit` bindings after `after` (its kind and name), in that order. */
  list(
    after: { readonly kind: string; readonly name: string },
    limit: number,
    signal: AbortSignal,
  ): Promise<readonly Owner[]> {
    return this.#database.run((db) => selectOwners(db, after, limit), signal);
  }

  /** Whoever registers it next gets it. @returns false when it was nobody's */
  release(kind: OwnedKind, name: string, signal: AbortSignal): Promise<boolean> {
    return this.#database.run((db) => deleteOwner(db, kind, name), signal);
  }
}
