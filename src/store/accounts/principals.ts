/**
 * kubesvc_owners: the principals that accounts and zones are bound to. The first one that registers a name gets it, and no
 * other does until an operator releases it: the binding outlives the account's row, which is removed when its agents are away for
 * long.
 */

import {
  bind,
  deletePrincipal,
  selectPrincipals,
  type BoundKind,
  type PrincipalBinding,
} from './principal-statements.js';
import type { Database } from '../sql/database.js';

export class PrincipalStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Binds a zone that has no principal.
   * @returns whether it is bound to this one now
   */
  async bindZone(zoneId: string, principal: string, signal: AbortSignal): Promise<boolean> {
    const { dialect } = this.#database;
    const wanted = new Map([[zoneId, principal]]);
    const principals = await this.#database.transaction((trx) => bind(trx, dialect, 'zone', wanted), signal);
    return principals.get(zoneId) === principal;
  }

  /** `limit` bindings after `after` (its kind and name), in that order. */
  list(
    after: { readonly kind: string; readonly name: string },
    limit: number,
    signal: AbortSignal,
  ): Promise<readonly PrincipalBinding[]> {
    return this.#database.run((db) => selectPrincipals(db, after, limit), signal);
  }

  /** The next principal that registers it gets it. @returns false if it had none */
  release(kind: BoundKind, name: string, signal: AbortSignal): Promise<boolean> {
    return this.#database.run((db) => deletePrincipal(db, kind, name), signal);
  }
}
