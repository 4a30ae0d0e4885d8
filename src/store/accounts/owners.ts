/**
 * kubesvc_owners: the owners of accounts and zones. The first identity that registers one owns it, and no other can
 * until an operator releases it: the binding outlives the account's row, which is removed when its agents are away for
 * long.
 */

import { bind, deleteOwner, selectOwners, type OwnedKind, type Owner } from './owner-statements.js';
import type { Database } from '../sql/database.js';

export class OwnerStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Binds a zone without an owner.
   * @returns whether it belongs to the owner now
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

  /** The next identity that registers it becomes its owner. @returns false if it had no owner */
  release(kind: OwnedKind, name: string, signal: AbortSignal): Promise<boolean> {
    return this.#database.run((db) => deleteOwner(db, kind, name), signal);
  }
}
