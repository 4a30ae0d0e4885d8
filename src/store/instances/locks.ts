/** kubesvc_locks: locks that expire, on the database's clock, so that clock skew between replicas does not matter. */

import type { ExpiringLocks } from '../../core/lock.js';
import { deleteLock, extendLock, insertFreeLock, takeLock } from './lock-statements.js';
import type { Database } from '../sql/database.js';

export class LockStore implements ExpiringLocks {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Takes a lock that is free, expired or the owner's already, for `ttlMs` from now. */
  async acquire(name: string, owner: string, ttlMs: number, signal?: AbortSignal): Promise<boolean> {
    const { dialect } = this.#database;
    return this.#database.run(async (db) => {
      await insertFreeLock(db, dialect, name);
      return takeLock(db, dialect, name, owner, ttlMs);
    }, signal);
  }

  /**
   * Keeps the lock for `ttlMs` from now; `false`: it expired or belongs to another, so stop the work that it protects.
   */
  async renew(name: string, owner: string, ttlMs: number, signal?: AbortSignal): Promise<boolean> {
    const { dialect } = this.#database;
    return this.#database.run((db) => extendLock(db, dialect, name, owner, ttlMs), signal);
  }

  /** Frees the owner's lock; `false`: it no longer belonged to the owner. */
  async release(name: string, owner: string, signal?: AbortSignal): Promise<boolean> {
    return this.#database.run((db) => deleteLock(db, name, owner), signal);
  }
}
