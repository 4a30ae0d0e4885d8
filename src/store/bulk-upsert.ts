/**
 * Many rows in one upsert, for rows with large values. Kysely would make several objects of every value; this makes the
 * statement's text and a flat list of parameters. Values that MySQL has to be sent escaped are given as bytes, which go
 * as hexadecimal: a third of the client's and half of the server's work for JSON, which is full of quotes.
 */

import { CompiledQuery, type Kysely } from 'kysely';
import { nowMsText, type SqlDialect } from './dialect.js';
import type { Schema } from './schema.js';

/** `now`: the database's clock in ms, for which no value is given. */
export type UpsertColumn = 'value' | 'now';
export type UpsertValue = string | number | null | Uint8Array;

export interface BulkUpsert {
  /** @param rows the values of each row in the order of the columns; no two rows may have the same key */
  (db: Kysely<Schema>, dialect: SqlDialect, rows: readonly (readonly UpsertValue[])[]): Promise<void>;
}

/** @param key column of the primary key; `overwrite`: what becomes of rows that are there already */
export function bulkUpsert(
  table: keyof Schema,
  columns: Readonly<Record<string, UpsertColumn>>,
  key: string,
  { overwrite }: { readonly overwrite: boolean },
): BulkUpsert {
  const names = Object.keys(columns);
  const head = `insert into ${table} (${names.join(', ')}) values `;
  const others = names.filter((name) => name !== key);
  const tails = {
    mysql: ` on duplicate key update ${
      overwrite ? others.map((name) => `${name} = values(${name})`).join(', ') : `${key} = ${table}.${key}`
    }`,
    postgresql: ` on conflict (${key}) do ${
      overwrite ? `update set ${others.map((name) => `${name} = excluded.${name}`).join(', ')}` : 'nothing'
    }`,
  };
  const kinds = Object.values(columns);
  return async (db, dialect, rows) => {
    if (rows.length === 0) return;
    let position = 0;
    const place = dialect.engine === 'mysql' ? () => '?' : () => `$${(position += 1)}`;
    const row = () => `(${kinds.map((kind) => (kind === 'now' ? nowMsText[dialect.engine] : place())).join(', ')})`;
    const text = head + Array.from(rows, row).join(', ') + tails[dialect.engine];
    const parameters = rows.flatMap((values) => values.map((value) => parameter(dialect, value)));
    await db.executeQuery(CompiledQuery.raw(text, parameters));
  };
}

function parameter({ engine }: SqlDialect, value: UpsertValue): unknown {
  if (!(value instanceof Uint8Array)) return value;
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  // PostgreSQL's protocol has lengths in place of quotes.
  return engine === 'mysql' ? bytes : bytes.toString('utf8');
}
