/** The structure of a table in the database, in the same form for both engines. */

import { sql, type Kysely } from 'kysely';

import type { Schema } from '../sql/schema.js';
import type { SqlDialect } from '../sql/dialect.js';

export interface FoundColumn {
  readonly name: string;
  /** Without length, in lower case: `varchar`, `bigint`, `tinyint` ... */
  readonly type: string;
  /** MySQL's whole type, `varchar(255)`; PostgreSQL: as `type`. */
  readonly fullType: string;
  /** Of character types; null: no bound. */
  readonly length: number | null;
  readonly collation: string | null;
  readonly nullable: boolean;
  /** Whether an INSERT may leave it out: it has a default, or the database gives a number. */
  readonly filled: boolean;
}

export interface FoundTable {
  readonly columns: ReadonlyMap<string, FoundColumn>;
  readonly primaryKey: readonly string[];
  /** Columns of each index in order, the primary key included. */
  readonly indexes: readonly { readonly name: string; readonly unique: boolean; readonly columns: readonly string[] }[];
}

/** @returns undefined when there is no such table */
export async function findTable(
  db: Kysely<Schema>,
  dialect: SqlDialect,
  table: string,
): Promise<FoundTable | undefined> {
  const columns = await (dialect.engine === 'mysql' ? mysqlColumns(db, table) : postgresColumns(db, table));
  if (columns.length === 0) return undefined;
  const rows = await (dialect.engine === 'mysql' ? mysqlIndexes(db, table) : postgresIndexes(db, table));
  const indexes = new Map<string, { name: string; unique: boolean; primary: boolean; columns: string[] }>();
  for (const row of rows) {
    const { name } = row;
    const flags = { unique: Boolean(row.unique), primary: Boolean(row.primary) };
    const index = indexes.get(name) ?? { name, ...flags, columns: [] };
    index.columns.push(row.column);
    indexes.set(name, index);
  }
  return {
    columns: new Map(columns.map((column) => [column.name, column])),
    primaryKey: [...indexes.values()].find((index) => index.primary)?.columns ?? [],
    indexes: [...indexes.values()],
  };
}

interface IndexRow {
  name: string;
  unique: boolean | number;
  primary: boolean | number;
  column: string;
}

async function mysqlColumns(db: Kysely<Schema>, table: string): Promise<FoundColumn[]> {
  const { rows } = await sql<{
    name: string;
    type: string;
    full_type: string;
    length: number | null;
    collation: string | null;
    nullable: string;
    fallback: string | null;
    extra: string;
  }>`select column_name as name, data_type as type, column_type as full_type, character_maximum_length as length,
       collation_name as collation, is_nullable as nullable, column_default as fallback, extra as extra
     from information_schema.columns where table_schema = database() and table_name = ${table}
     order by ordinal_position`.execute(db);
  return rows.map((row) => ({
    name: row.name,
    type: row.type.toLowerCase(),
    fullType: row.full_type,
    length: row.length === null ? null : Number(row.length),
    collation: row.collation,
    nullable: row.nullable === 'YES',
    filled: row.fallback !== null || /auto_increment|generated/i.test(row.extra),
  }));
}

async function postgresColumns(db: Kysely<Schema>, table: string): Promise<FoundColumn[]> {
  const { rows } = await sql<{
    name: string;
    type: string;
    length: number | null;
    nullable: string;
    filled: boolean;
  }>`select column_name as name, data_type as type, character_maximum_length as length, is_nullable as nullable,
       (column_default is not null or is_identity = 'YES' or is_generated = 'ALWAYS') as filled
     from information_schema.columns where table_schema = current_schema() and table_name = ${table}
     order by ordinal_position`.execute(db);
  return rows.map((row) => ({
    name: row.name,
    type: row.type.toLowerCase(),
    fullType: row.type,
    length: row.length === null ? null : Number(row.length),
    collation: null,
    nullable: row.nullable === 'YES',
    filled: row.filled,
  }));
}

async function mysqlIndexes(db: Kysely<Schema>, table: string): Promise<IndexRow[]> {
  // A prefix of a column does not count as the column.
  const { rows } = await sql<IndexRow>`
    select index_name as name, non_unique = 0 as \`unique\`, index_name = 'PRIMARY' as \`primary\`,
      if(sub_part is null, column_name, concat(column_name, '(', sub_part, ')')) as \`column\`
    from information_schema.statistics where table_schema = database() and table_name = ${table}
    order by index_name, seq_in_index`.execute(db);
  return rows;
}

async function postgresIndexes(db: Kysely<Schema>, table: string): Promise<IndexRow[]> {
  // A partial index, or one on an expression, does not count.
  const { rows } = await sql<IndexRow>`
    select c.relname as name, i.indisunique as unique, i.indisprimary as primary, a.attname as column
    from pg_index i
      join pg_class c on c.oid = i.indexrelid
      join pg_class t on t.oid = i.indrelid
      join pg_namespace n on n.oid = t.relnamespace
      cross join lateral unnest(i.indkey::int2[]) with ordinality as k(attnum, position)
      join pg_attribute a on a.attrelid = t.oid and a.attnum = k.attnum
    where t.relname = ${table} and n.nspname = current_schema() and i.indpred is null and i.indexprs is null
      and i.indisvalid
    order by c.relname, k.position`.execute(db);
  return rows;
}
