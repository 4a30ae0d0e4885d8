/** kubesvc_locks: locks that expire, on the database's clock, so that clock skew between replicas does not matter. */

import { sql, type RawBuilder } from 'kysely';

import type { Database } from '../sql/database.js';

export class LockStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Takes a lock that is free, expired or the owner's already, for `ttlMs` from now. */
  async acquire(name: string, owner: string, ttlMs: number, signal?: AbortSignal): Promise<boolean> {
    const { dialect } = this.#database;
    return this.#database.run(async (db) => {
      // An expired row to start with, so that one compare-and-set covers every case.
      const free = db.insertInto('kubesvc_locks').values({ name, owner: '', expires_time: 0 });
      await dialect.insertMissing(free, ['name']).execute();
      const taken = await db
        .updateTable('kubesvc_locks')
        .set({ owner, expires_time: this.#fromNow(ttlMs) })
        .where('name', '=', name)
        .where((eb) => eb.or([eb('owner', '=', owner), eb('expires_time', '<=', dialect.nowMs)]))
        .executeTakeFirst();
      return taken.numUpdatedRows > 0n;
    }, signal);
  }

  /** Keeps the lock for `ttlMs` from now; `false`: it expired or is another's, so stop what it protects. */
  async renew(name: string, owner: string, ttlMs: number, signal?: AbortSignal): Promise<boolean> {
    return this.#database.run(async (db) => {
      const renewed = await db
        .updateTable('kubesvc_locks')
        .set({ expires_time: this.#fromNow(ttlMs) })
        .where('name', '=', name)
        .where('owner', '=', owner)
        .where('expires_time', '>', this.#database.dialect.nowMs)
        .executeTakeFirst();
      return renewed.numUpdatedRows > 0n;
    }, signal);
  }

  /** Frees the owner's lock; `false`: it was not the owner's any more. */
  async release(name: string, owner: string, signal?: AbortSignal): Promise<boolean> {
    return this.#database.run(async (db) => {
      const deleted = await db
        .deleteFrom('kubesvc_locks')
        .where('name', '=', name)
        .where('owner', '=', owner)
        .executeTakeFirst();
      return deleted.numDeletedRows > 0n;
    }, signal);
  }

  #fromNow(ttlMs: number): RawBuilder<number> {
    return sql<number>`${this.#database.dialect.nowMs} + ${sql.lit(ttlMs)}`;
  }
}
