/**
 * Writes many rows in one upsert, for rows with large values. Kysely would make several objects of every value; this
 * makes the statement's text and a flat list of parameters. Values that would need escaping for MySQL are given as
 * bytes, which are sent as hexadecimal: a third of the client's and half of the server's work for JSON, which is full
 * of quotes.
 */

import { CompiledQuery, type Kysely } from 'kysely';
import { nowMsText, type SqlDialect } from './dialect.js';
import { preparedMark } from './engine-mysql.js';
import type { Schema } from './schema.js';

/**
 * Rows of a prepared statement. Its text is always the same, so MySQL parses it once, and bodies are sent as they are
 * instead of in hexadecimal. The remaining rows of a list are sent as text.
 */
const preparedRows = 100;

/** `now`: the database's clock in ms; it takes no value. */
export type UpsertColumn = 'value' | 'now';
export type UpsertValue = string | number | boolean | null | Uint8Array;

export interface BulkUpsert {
  /**
   * @param rows the values of each row in the order of the columns; no two rows may have the same key
   * @returns whether all of them are new, if the engine tells (SqlDialect.tellsNewRows); else false
   */
  (db: Kysely<Schema>, dialect: SqlDialect, rows: readonly (readonly UpsertValue[])[]): Promise<boolean>;
}

/** @param key columns of a unique key; `overwrite`: whether existing rows are overwritten */
export function bulkUpsert(
  table: keyof Schema,
  columns: Readonly<Record<string, UpsertColumn>>,
  key: readonly [string, ...string[]],
  { overwrite }: { readonly overwrite: boolean },
): BulkUpsert {
  const names = Object.keys(columns);
  const head = `insert into ${table} (${names.join(', ')}) values `;
  const others = names.filter((name) => !key.includes(name));
  const tails = {
    mysql: ` on duplicate key update ${
      overwrite ? others.map((name) => `${name} = values(${name})`).join(', ') : `${key[0]} = ${table}.${key[0]}`
    }`,
    postgresql: ` on conflict (${key.join(', ')}) do ${
      overwrite ? `update set ${others.map((name) => `${name} = excluded.${name}`).join(', ')}` : 'nothing'
    }`,
  };
  const kinds = Object.values(columns);
  const textOf = (engine: SqlDialect['engine'], count: number): string => {
    let position = 0;
    const place = engine === 'mysql' ? () => '?' : () => `$${(position += 1)}`;
    const row = () => `(${kinds.map((kind) => (kind === 'now' ? nowMsText[engine] : place())).join(', ')})`;
    return head + Array.from({ length: count }, row).join(', ') + tails[engine];
  };
  const prepared = preparedMark + textOf('mysql', preparedRows);
  return async (db, dialect, rows) => {
    const { engine } = dialect;
    let affected = 0n;
    for (let start = 0; start < rows.length;) {
      const isPrepared = engine === 'mysql' && rows.length - start >= preparedRows;
      const some = rows.slice(start, isPrepared ? start + preparedRows : rows.length);
      const parameters = some.flatMap((values) => values.map((value) => parameter(dialect, value)));
      const text = isPrepared ? prepared : textOf(engine, some.length);
      const { numAffectedRows = 0n } = await db.executeQuery(CompiledQuery.raw(text, parameters));
      affected += numAffectedRows;
      start += some.length;
    }
    // MySQL counts a row that it has changed as two (INSERT ... ON DUPLICATE KEY UPDATE in its manual).
    return engine === 'mysql' && affected === BigInt(rows.length);
  };
}

function parameter({ engine }: SqlDialect, value: UpsertValue): unknown {
  if (!(value instanceof Uint8Array)) return value;
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  // PostgreSQL's protocol uses lengths instead of quotes.
  return engine === 'mysql' ? bytes : bytes.toString('utf8');
}
