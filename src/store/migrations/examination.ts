/** Checks of a database for `doctor`. They leave nothing behind. */

import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';

import type { Database } from '../sql/database.js';
import { findTable } from './introspect.js';
import { migrationsTable } from '../sql/tables.js';

export interface ServerVersion {
  readonly product: 'MySQL' | 'MariaDB' | 'PostgreSQL';
  /** As the server reports it, only digits and dots: `10.11.14`. */
  readonly version: string;
  /** The oldest that is supported. */
  readonly minimum: string;
  readonly supported: boolean;
}

export interface ServerDescription extends ServerVersion {
  /** The server's clock minus ours, in ms; accurate to half a round trip. */
  readonly clockDifferenceMs: number;
}

const minimums = { MySQL: '8.0', MariaDB: '10.6', PostgreSQL: '13' } as const;

/** @throws as Database.run does */
export async function serverVersion(database: Database, signal: AbortSignal): Promise<ServerVersion> {
  const text = await database.run(async (db) => {
    const { rows } = await sql<{ version: string }>`select version() as version`.execute(db);
    return rows[0]?.version ?? '';
  }, signal);
  const version = /\d+(\.\d+)+/.exec(text)?.[0] ?? text;
  const product = database.engine === 'postgresql' ? 'PostgreSQL' : /mariadb/i.test(text) ? 'MariaDB' : 'MySQL';
  const minimum = minimums[product];
  return { product, version, minimum, supported: !olderThan(version, minimum) };
}

/** @throws as Database.run does */
export async function describeServer(database: Database, signal: AbortSignal): Promise<ServerDescription> {
  // The first statement opens the connection, so that the second one measures the clock and nothing else.
  const found = await serverVersion(database, signal);
  const before = Date.now();
  const serverMs = await database.run(async (db) => {
    const { rows } = await sql<{ now: number | string }>`select ${database.dialect.nowMs} as now`.execute(db);
    return Number(rows[0]?.now);
  }, signal);
  const clockDifferenceMs = Math.round(serverMs - (before + Date.now()) / 2);
  return { ...found, clockDifferenceMs };
}

/**
 * Creates, alters and drops a table of its own.
 * @throws as Database.run does; the cause has the server's refusal
 */
export async function tryTableChanges(database: Database, signal: AbortSignal): Promise<void> {
  const table = sql.id(`kubesvc_doctor_${randomBytes(6).toString('hex')}`);
  await database.run(async (db) => {
    await sql`create table ${table} (id integer primary key)`.execute(db);
    try {
      await sql`alter table ${table} add column other integer`.execute(db);
    } finally {
      await sql`drop table ${table}`.execute(db);
    }
  }, signal);
}

/** The names of the migrations that were applied, in order; undefined if the tables do not exist. */
export async function appliedMigrations(
  database: Database,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  return database.run(async (db) => {
    if ((await findTable(db, database.dialect, migrationsTable.name)) === undefined) return undefined;
    const rows = await db.selectFrom('kubesvc_migrations').select('name').orderBy('name').execute();
    return rows.map(({ name }) => name);
  }, signal);
}

function olderThan(version: string, minimum: string): boolean {
  const [have, need] = [version, minimum].map((text) => text.split('.').map(Number));
  for (const [index, wanted] of (need ?? []).entries()) {
    const part = have?.[index] ?? 0;
    if (part !== wanted) return part < wanted;
  }
  return false;
}
