/** The statements on kubesvc_locks: one function for each. */

import type { Kysely } from 'kysely';

import { msFromNow } from '../sql/clock.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

/** Makes the row of a lock that has none: an expired one, so that taking it is one compare-and-set in every case. */
export async function insertFreeLock(db: Db, dialect: SqlDialect, name: string): Promise<void> {
  const free = db.insertInto('kubesvc_locks').values({ name, owner: '', expires_time: 0 });
  await dialect.insertMissing(free, ['name']).execute();
}

/** @returns false when it is another's and has not expired */
export async function takeLock(
  db: Db,
  dialect: SqlDialect,
  name: string,
  owner: string,
  ttlMs: number,
): Promise<boolean> {
  const taken = await db
    .updateTable('kubesvc_locks')
    .set({ owner, expires_time: msFromNow(dialect, ttlMs) })
    .where('name', '=', name)
    .where((eb) => eb.or([eb('owner', '=', owner), eb('expires_time', '<=', dialect.nowMs)]))
    .executeTakeFirst();
  return taken.numUpdatedRows > 0n;
}

/** @returns false when it has expired or is another's */
export async function extendLock(
  db: Db,
  dialect: SqlDialect,
  name: string,
  owner: string,
  ttlMs: number,
): Promise<boolean> {
  const renewed = await db
    .updateTable('kubesvc_locks')
    .set({ expires_time: msFromNow(dialect, ttlMs) })
    .where('name', '=', name)
    .where('owner', '=', owner)
    .where('expires_time', '>', dialect.nowMs)
    .executeTakeFirst();
  return renewed.numUpdatedRows > 0n;
}

/** @returns false when it was not the owner's */
export async function deleteLock(db: Db, name: string, owner: string): Promise<boolean> {
  const deleted = await db
    .deleteFrom('kubesvc_locks')
    .where('name', '=', name)
    .where('owner', '=', owner)
    .executeTakeFirst();
  return deleted.numDeletedRows > 0n;
}
