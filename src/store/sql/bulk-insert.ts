/**
 * Inserts many rows by one statement, whose text is the same for any number of rows.
 *
 * MySQL gets the values as text, because it takes four times as long to take a JSON array of 40 columns apart (JSON_TABLE).
 * For PostgreSQL that is the faster way, as long as the array is jsonb: in json it looks for each element from the start.
 */

import { CompiledQuery, type Kysely } from 'kysely';
import { nowMsText, type SqlDialect } from './dialect.js';
import type { Schema } from './schema.js';

/** `fromNow`: a number of ms, added to the database's clock. */
export type InsertedColumn = 'text' | 'number' | 'bytes' | 'fromNow';

/** Values in the order of the columns. */
export type InsertedRow = readonly (string | number | Uint8Array | null)[];

/** Rows whose key exists are overwritten if the new row's number in the column `by` is not lower. */
export interface NewerWins {
  readonly by: string;
  /** Columns that keep what the first row had. */
  readonly kept: readonly string[];
}

/**
 * What becomes of a row whose key exists: it stays as it is, or the whole statement fails (isDuplicateKey()), or the newer
 * one wins; then no two new rows may have the same key.
 */
export type ExistingRows = 'stay' | 'fail' | NewerWins;

export interface BulkInsert {
  (db: Kysely<Schema>, dialect: SqlDialect, rows: readonly InsertedRow[]): Promise<void>;
}

/** @param key column of the primary key */
export function bulkInsert(
  table: keyof Schema,
  columns: Readonly<Record<string, InsertedColumn>>,
  key: string,
  existing: ExistingRows,
): BulkInsert {
  const kinds = Object.values(columns);
  const names = Object.keys(columns);
  const ends = endsOf(table, names, key, existing);
  const head = `insert into ${table} (${names.join(', ')})`;
  const mysql = `${head} values ? ${ends.mysql}`;
  const postgresql = `${head} ${postgresRows(kinds)} ${ends.postgresql}`;
  return async (db, { engine }, rows) => {
    const query =
      engine === 'mysql'
        ? CompiledQuery.raw(mysql, [converted(rows, kinds, 'fromNow', afterNow)])
        : CompiledQuery.raw(postgresql, [JSON.stringify(converted(rows, kinds, 'bytes', base64))]);
    await db.executeQuery(query);
  };
}

function endsOf(table: string, names: readonly string[], key: string, existing: ExistingRows) {
  if (existing === 'fail') return { mysql: '', postgresql: '' };
  if (existing === 'stay')
    return {
      mysql: `on duplicate key update ${key} = ${table}.${key}`,
      postgresql: `on conflict (${key}) do nothing`,
    };
  const { by, kept } = existing;
  const overwritten = names.filter((name) => name !== key && name !== by && !kept.includes(name));
  const isNewer = `values(${by}) >= ${table}.${by}`;
  // MySQL assigns from left to right: the number that is compared comes last.
  const assigned = [
    ...overwritten.map((name) => `${name} = if(${isNewer}, values(${name}), ${table}.${name})`),
    `${by} = greatest(values(${by}), ${table}.${by})`,
  ];
  const set = [...overwritten, by].map((name) => `${name} = excluded.${name}`);
  return {
    mysql: `on duplicate key update ${assigned.join(', ')}`,
    postgresql: `on conflict (${key}) do update set ${set.join(', ')} where excluded.${by} >= ${table}.${by}`,
  };
}

/** The rows with the values of one kind as the driver needs them; most tables have none of it. */
function converted(
  rows: readonly InsertedRow[],
  kinds: readonly InsertedColumn[],
  kind: InsertedColumn,
  convert: (value: string | number | Uint8Array) => unknown,
): readonly (readonly unknown[])[] {
  if (!kinds.includes(kind)) return rows;
  return rows.map((row) =>
    row.map((value, index) => (value === null || kinds[index] !== kind ? value : convert(value))),
  );
}

/** For mysql2, which writes it as it is. */
function afterNow(value: string | number | Uint8Array): unknown {
  const text = `${nowMsText.mysql} + ${String(Number(value))}`;
  return { toSqlString: () => text };
}

function base64(value: string | number | Uint8Array): unknown {
  if (!(value instanceof Uint8Array)) return value;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
}

function postgresRows(kinds: readonly InsertedColumn[]): string {
  const values = kinds.map((kind, index) => {
    const text = `(r->>${index})`;
    if (kind === 'text') return text;
    if (kind === 'bytes') return `decode(${text}, 'base64')`;
    return kind === 'fromNow' ? `${nowMsText.postgresql} + ${text}::bigint` : `${text}::bigint`;
  });
  return `select ${values.join(', ')} from jsonb_array_elements($1::jsonb) as r`;
}
