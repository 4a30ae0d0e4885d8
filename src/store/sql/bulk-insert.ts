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

/** How rows whose key exists are overwritten: if the new row's number in the column `by` is not lower. */
export interface NewerWins {
  readonly by: string;
  /** Columns that keep what the first row had. */
  readonly kept: readonly string[];
}

export interface BulkInsert {
  /** Inserts the rows whose key does not exist yet; with `newerWins`, overwrites the others. No two rows may have the same key then. */
  (db: Kysely<Schema>, dialect: SqlDialect, rows: readonly JsonRow[]): Promise<void>;
}

/**
 * @param key column of the primary key
 * @param newerWins absent: rows whose key exists stay as they are
 */
export function bulkInsert(
  table: keyof Schema,
  columns: Readonly<Record<string, JsonColumnKind>>,
  key: string,
  newerWins?: NewerWins,
): BulkInsert {
  const overwritten = Object.keys(columns).filter(
    (name) => name !== key && name !== newerWins?.by && newerWins?.kept.includes(name) === false,
  );
  const ends =
    newerWins === undefined
      ? {
          mysql: `on duplicate key update ${key} = ${table}.${key}`,
          postgresql: `on conflict (${key}) do nothing`,
        }
      : overwriting(table, key, overwritten, newerWins.by);
  const text = {
    mysql: `${mysqlText(table, columns)} ${ends.mysql}`,
    postgresql: `${postgresText(table, columns)} ${ends.postgresql}`,
  };
  return async (db, dialect, rows) => {
    await db.executeQuery(
      CompiledQuery.raw(text[dialect.engine], [
        JSON.stringify(dialect.engine === 'mysql' ? rows.map((row) => row.map((value) => value ?? [])) : rows),
      ]),
    );
  };
}

function overwriting(table: string, key: string, names: readonly string[], by: string) {
  const isNewer = `values(${by}) >= ${table}.${by}`;
  // MySQL assigns from left to right: the number that is compared comes last.
  const assigned = [
    ...names.map((name) => `${name} = if(${isNewer}, values(${name}), ${table}.${name})`),
    `${by} = greatest(values(${by}), ${table}.${by})`,
  ];
  const set = [...names, by].map((name) => `${name} = excluded.${name}`);
  return {
    mysql: `on duplicate key update ${assigned.join(', ')}`,
    postgresql: `on conflict (${key}) do update set ${set.join(', ')} where excluded.${by} >= ${table}.${by}`,
  };
}

function mysqlText(table: string, columns: Readonly<Record<string, JsonColumnKind>>): string {
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
    `from json_table(?, '$[*]' columns (${fields.join(', ')})) as r`
  );
}

function postgresText(table: string, columns: Readonly<Record<string, JsonColumnKind>>): string {
  const values = Object.values(columns).map((kind, index) => {
    const text = `(r->>${index})`;
    if (kind === 'text') return text;
    if (kind === 'base64') return `decode(${text}, 'base64')`;
    return kind === 'fromNow' ? `${nowMsText.postgresql} + ${text}::bigint` : `${text}::bigint`;
  });
  return (
    `insert into ${table} (${Object.keys(columns).join(', ')}) select ${values.join(', ')} ` +
    `from json_array_elements($1::json) as r`
  );
}
