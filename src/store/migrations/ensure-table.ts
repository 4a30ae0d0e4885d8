/**
 * Creates a table from its definition, or adopts an existing one: adds missing columns, widens those that are too
 * narrow, drops nothing. Every step looks first and can be repeated, because MySQL cannot undo half of them.
 */

import { sql, type Kysely, type RawBuilder } from 'kysely';

import { GatewayError, messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';
import { isDuplicateKey, sqlErrorKind } from '../sql/sql-error.js';
import type { TableDefinition } from '../sql/tables.js';
import { isAdoptable, makeNullable, mysqlChanges, postgresChanges } from './adopt-column.js';
import { columnSql } from './column-sql.js';
import { findTable, type FoundTable } from './introspect.js';

export interface MigrationContext {
  /** Bound to one connection. */
  readonly db: Kysely<Schema>;
  readonly dialect: SqlDialect;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** @throws GatewayError configuration, if the existing table cannot be turned into the defined one */
export async function ensureTable(context: MigrationContext, table: TableDefinition): Promise<void> {
  context.signal.throwIfAborted();
  const found = await findTable(context.db, context.dialect, table.name);
  if (found === undefined) await createTable(context, table);
  else await adoptTable(context, table, found);
  await ensureIndexes(context, table);
}

async function createTable({ db, dialect }: MigrationContext, table: TableDefinition): Promise<void> {
  const columns = Object.entries(table.columns).map(
    ([name, column]) => sql`${sql.id(name)} ${columnSql(dialect.engine, column)}`,
  );
  const key = sql`primary key (${sql.join(table.primaryKey.map((name) => sql.id(name)))})`;
  const options =
    dialect.engine === 'mysql' ? sql.raw(' engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin') : sql``;
  await sql`create table if not exists ${sql.id(table.name)} (${sql.join([...columns, key])})${options}`.execute(db);
}

async function adoptTable(context: MigrationContext, table: TableDefinition, found: FoundTable): Promise<void> {
  const { db, dialect, logger } = context;
  const changes: RawBuilder<unknown>[] = [];
  for (const [name, column] of Object.entries(table.columns)) {
    const existing = found.columns.get(name);
    if (existing === undefined) {
      changes.push(sql`add column ${sql.id(name)} ${columnSql(dialect.engine, column)}`);
      continue;
    }
    if (!isAdoptable(column, existing)) {
      const reason = `it has the type ${existing.fullType}, which cannot hold ${column.type.kind} values`;
      throw notAdoptable(table, name, reason);
    }
    if (dialect.engine === 'mysql') changes.push(...mysqlChanges(column, existing));
    else changes.push(...(await postgresChanges(db, table.name, column, existing)));
  }
  for (const existing of found.columns.values()) {
    if (existing.name in table.columns || existing.nullable || existing.filled) continue;
    if (found.primaryKey.includes(existing.name)) {
      throw notAdoptable(table, existing.name, 'it is part of the primary key and unknown to the gateway');
    }
    changes.push(makeNullable(dialect, existing));
  }
  if (changes.length > 0) {
    logger.info({ table: table.name, changes: changes.length }, 'adopting an existing table');
  }
  // One by one, so that a step that was done before a crash is not tried again.
  for (const change of changes) {
    context.signal.throwIfAborted();
    await sql`alter table ${sql.id(table.name)} ${change}`.execute(db).catch((error: unknown) => {
      if (sqlErrorKind(error) !== 'other') throw error;
      throw notAdoptable(table, undefined, `the database refused to change it (${messageOf(error)})`);
    });
  }
}

async function ensureIndexes(context: MigrationContext, table: TableDefinition): Promise<void> {
  const { db, dialect, logger } = context;
  const found = await findTable(db, dialect, table.name);
  if (found === undefined) throw new Error(`table ${table.name} vanished`);
  const wanted = [
    ...[table.primaryKey, ...(table.unique ?? [])].map((columns) => ({ columns, unique: true })),
    ...(table.indexes ?? []).map((columns) => ({ columns, unique: false })),
  ];
  for (const { columns, unique } of wanted) {
    context.signal.throwIfAborted();
    if (found.indexes.some((index) => serves(index, columns, unique))) continue;
    const name = `${table.name}_${columns.join('_')}`.slice(0, 56) + (unique ? '_key' : '_idx');
    const list = sql.join(columns.map((column) => sql.id(column)));
    const kind = unique ? sql`unique index` : sql`index`;
    // Other replicas go on writing meanwhile; MySQL lets them by itself.
    const isOnline = !unique && dialect.engine === 'postgresql';
    try {
      // An attempt that was broken off leaves an index that serves nothing; no other one can have this name.
      if (isOnline) await sql`drop index if exists ${sql.id(name)}`.execute(db);
      await sql`create ${kind} ${isOnline ? sql`concurrently ` : sql``}${sql.id(name)} on ${sql.id(table.name)} (${list})`.execute(
        db,
      );
    } catch (error) {
      if (sqlErrorKind(error) !== 'other') throw error;
      if (unique) {
        const reason = isDuplicateKey(error) ? 'several rows have the same value' : messageOf(error);
        throw notAdoptable(table, columns.join(', '), `it must be unique (${reason})`);
      }
      logger.warn(
        { table: table.name, columns, error: messageOf(error) },
        'could not create an index; continuing without it',
      );
    }
  }
}

function serves(index: FoundTable['indexes'][number], columns: readonly string[], unique: boolean): boolean {
  if (!unique) return columns.every((column, position) => index.columns[position] === column);
  return index.unique && index.columns.length === columns.length && columns.every((c) => index.columns.includes(c));
}

function notAdoptable(table: TableDefinition, column: string | undefined, reason: string): GatewayError {
  const where = column === undefined ? `table ${table.name}` : `column ${column} of table ${table.name}`;
  return new GatewayError(
    'configuration',
    `${where} cannot be adopted: ${reason}; change it, or rename the table and start again`,
    { field: 'sql.url' },
  );
}
