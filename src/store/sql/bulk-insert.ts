/**
 * Inserts many rows by one statement with one parameter: the rows as JSON, which the database takes apart. The
 * statement's text is the same for any number of rows, so building and sending it costs a fraction of a parameter for
 * each value.
 *
 * For MySQL a null is sent as an empty array, of which the first element is read (for any other value that is the value
 * itself). JSON_TABLE before 8.0.20 turns a JSON null into the text 'null', or refuses the whole statement if the
 * column is a number; a missing element is NULL in every version.
 */

import { CompiledQuery, type Kysely } from 'kysely';
import { nowMsText, type SqlDialect } from './dialect.js';
import { preparedMark } from './engine-mysql.js';
import type { Schema } from './schema.js';

/** `base64`: bytes, written as base64 in the JSON. `fromNow`: ms, added to the database's clock. */
export type JsonColumnKind = 'text' | 'number' | 'base64' | 'fromNow';

/** Values in the order of the columns. */
export type JsonRow = readonly (string | number | null)[];

export interface BulkInsert {
  /** Inserts the rows whose key does not exist yet. */
  (db: Kysely<Schema>, dialect: SqlDialect, rows: readonly JsonRow[]): Promise<void>;
}

/** @param key columns of the primary key */
export function bulkInsert(
  table: keyof Schema,
  columns: Readonly<Record<string, JsonColumnKind>>,
  key: string,
): BulkInsert {
  const text = { mysql: mysqlText(table, columns, key), postgresql: postgresText(table, columns, key) };
  return async (db, dialect, rows) => {
    await db.executeQuery(
      CompiledQuery.raw(text[dialect.engine], [
        JSON.stringify(dialect.engine === 'mysql' ? rows.map((row) => row.map((value) => value ?? [])) : rows),
      ]),
    );
  };
}

function mysqlText(table: string, columns: Readonly<Record<string, JsonColumnKind>>, key: string): string {
  // By default MariaDB uses the character set of the database.
  const text = 'longtext character set utf8mb4';
  const types = { text, number: 'bigint', base64: text, fromNow: 'bigint' };
  const fields = Object.entries(columns).map(([name, kind], index) => `${name} ${types[kind]} path '$[${index}][0]'`);
  const values = Object.entries(columns).map(([name, kind]) => {
    if (kind === 'base64') return `from_base64(r.${name})`;
    return kind === 'fromNow' ? `${nowMsText.mysql} + r.${name}` : `r.${name}`;
  });
  return (
    `${preparedMark}insert into ${table} (${Object.keys(columns).join(', ')}) select ${values.join(', ')} ` +
    `from json_table(?, '$[*]' columns (${fields.join(', ')})) as r ` +
    `on duplicate key update ${key} = ${table}.${key}`
  );
}

function postgresText(table: string, columns: Readonly<Record<string, JsonColumnKind>>, key: string): string {
  const values = Object.values(columns).map((kind, index) => {
    const text = `(r->>${index})`;
    if (kind === 'text') return text;
    if (kind === 'base64') return `decode(${text}, 'base64')`;
    return kind === 'fromNow' ? `${nowMsText.postgresql} + ${text}::bigint` : `${text}::bigint`;
  });
  return (
    `insert into ${table} (${Object.keys(columns).join(', ')}) select ${values.join(', ')} ` +
    `from json_array_elements($1::json) as r on conflict (${key}) do nothing`
  );
}
