/**
 * Where SQL differs between engines in statements that Kysely builds. Statements that are written by hand differ where they
 * are written: in `store/sql/bulk-insert.ts` and `store/sql/bulk-upsert.ts` (many rows) and in `store/migrations/` (types,
 * catalogs, ALTER TABLE, versions). Nothing else asks which engine it is, but `store/sql/database.ts`, which reports it.
 * What differs beside SQL is in `store/sql/engine-mysql.ts`, `store/sql/engine-postgres.ts` and `store/sql/engine-pglite.ts`
 * (sessions, pools, limits) and in `store/sql/sql-error.ts` (codes of errors).
 */

import {
  sql,
  type ExpressionBuilder,
  type InsertQueryBuilder,
  type InsertResult,
  type Kysely,
  type RawBuilder,
} from 'kysely';

import type { Schema } from './schema.js';

type Table = keyof Schema;
type Column<T extends Table> = keyof Schema[T] & string;
type Insert<T extends Table> = InsertQueryBuilder<Schema, T, InsertResult>;

/** `SqlDialect.nowMs` as text, for statements that are written by hand. */
export const nowMsText = {
  mysql: 'cast(unix_timestamp(now(3)) * 1000 as signed)',
  postgresql: 'cast(extract(epoch from statement_timestamp()) * 1000 as bigint)',
};

export interface SqlDialect {
  readonly engine: 'mysql' | 'postgresql';

  /** The database's clock when the statement began, in ms UTC. Indexes can be searched with it. */
  readonly nowMs: RawBuilder<number>;

  /** At the end of a SELECT: others may read the rows under the same lock, but nobody may change them. */
  readonly shareLock: RawBuilder<unknown>;

  /** Whether an upsert of many rows (bulk-upsert.ts) tells if all of them are new. */
  readonly tellsNewRows: boolean;

  /** Makes an INSERT skip rows whose key already exists. Other failures still fail, unlike INSERT IGNORE. */
  insertMissing<T extends Table>(query: Insert<T>, key: readonly Column<T>[]): Insert<T>;

  /** Makes an INSERT overwrite `columns` if the key already exists. */
  upsert<T extends Table>(query: Insert<T>, key: readonly Column<T>[], columns: readonly Column<T>[]): Insert<T>;

  /**
   * Adds to a counter in one statement, safe against concurrent calls.
   * @returns its value afterwards, undefined: no such counter
   */
  addToCounter(db: Kysely<Schema>, name: string, by: number): Promise<number | undefined>;

  /**
   * Tries to take a lock that belongs to the connection, named within the database, waiting a second at most.
   * `db` must be bound to one connection.
   */
  tryLock(db: Kysely<Schema>, name: string): Promise<boolean>;
  unlock(db: Kysely<Schema>, name: string): Promise<void>;
}

// Names of GET_LOCK are shared by the whole server and have 64 characters at most; a database's name alone may have
// that many.
const mysqlLockName = (name: string): RawBuilder<string> =>
  sql<string>`concat(${name}, ':', left(sha2(lower(database()), 256), 32))`;

export const mysqlDialect: SqlDialect = {
  engine: 'mysql',
  nowMs: sql.raw<number>(nowMsText.mysql),
  // MariaDB does not know FOR SHARE.
  shareLock: sql`lock in share mode`,
  tellsNewRows: true,
  // Takes the exclusive lock of the row at once; INSERT IGNORE takes a shared one, and two of those deadlock when
  // both go on to update.
  insertMissing: (query, key) => query.onDuplicateKeyUpdate({ [key[0] as string]: sql.ref(key[0] as string) } as never),
  upsert: (query, _key, columns) =>
    query.onDuplicateKeyUpdate(
      Object.fromEntries(columns.map((column) => [column, sql`values(${sql.ref(column)})`])) as never,
    ),
  addToCounter: async (db, name, by) => {
    const query = db
      .updateTable('kubesvc_counters')
      .set({ value: sql<number>`last_insert_id(value + ${by})` })
      .where('name', '=', name);
    const { insertId } = await db.executeQuery(query.compile());
    return insertId === undefined ? undefined : Number(insertId);
  },
  tryLock: async (db, name) => {
    // 1: taken, 0: another has it, NULL: an error.
    const result = await sql<{ taken: number | null }>`select get_lock(${mysqlLockName(name)}, 1) as taken`.execute(db);
    return Number(result.rows[0]?.taken ?? 0) === 1;
  },
  unlock: async (db, name) => {
    await sql`select release_lock(${mysqlLockName(name)})`.execute(db);
  },
};

export const postgresDialect: SqlDialect = {
  engine: 'postgresql',
  nowMs: sql.raw<number>(nowMsText.postgresql),
  shareLock: sql`for share`,
  tellsNewRows: false,
  insertMissing: (query, key) => query.onConflict((conflict) => conflict.columns(key).doNothing()),
  upsert: (query, key, columns) =>
    query.onConflict((conflict) =>
      conflict.columns(key).doUpdateSet((eb: ExpressionBuilder<never, never>) => {
        return Object.fromEntries(columns.map((column) => [column, eb.ref(`excluded.${column}` as never)])) as never;
      }),
    ),
  addToCounter: async (db, name, by) => {
    const row = await db
      .updateTable('kubesvc_counters')
      .set((eb) => ({ value: eb('value', '+', by) }))
      .where('name', '=', name)
      .returning('value')
      .executeTakeFirst();
    return row?.value;
  },
  tryLock: async (db, name) => {
    const result = await sql<{ taken: boolean }>`select pg_try_advisory_lock(hashtext(${name})) as taken`.execute(db);
    return result.rows[0]?.taken === true;
  },
  unlock: async (db, name) => {
    await sql`select pg_advisory_unlock(hashtext(${name}))`.execute(db);
  },
};
