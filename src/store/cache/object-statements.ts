/** The statements on kubesvc_cache and kubesvc_cache_rel, cached objects and their relations: one function for each. */

import { createHash } from 'node:crypto';
import type { Kysely } from 'kysely';

import { batches } from '../../core/batches.js';
import { bulkUpsert } from '../sql/bulk-upsert.js';
import type { CachedObject, CacheScope } from './cached-object.js';
import { msAgo } from '../sql/clock.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

const objectRows = bulkUpsert(
  'kubesvc_cache',
  {
    id: 'value',
    agent: 'value',
    kind: 'value',
    account: 'value',
    application: 'value',
    namespace: 'value',
    last_updated: 'now',
    generation: 'value',
    body: 'value',
  },
  ['id'],
  { overwrite: true },
);

export interface ObjectOfAgent {
  readonly agentId: string;
  readonly generation: number;
  readonly object: CachedObject;
}

/** @returns the ids of those that may have been there before: none if all are new */
export async function upsertObjects(
  db: Db,
  dialect: SqlDialect,
  objects: readonly ObjectOfAgent[],
): Promise<readonly string[]> {
  const ids = objects.map(({ object }) => object.id);
  // Nobody else writes these objects meanwhile.
  const before = dialect.tellsNewRows ? ids : await selectExisting(db, ids);
  const allNew = await objectRows(
    db,
    dialect,
    objects.map(({ agentId, generation, object }) => [
      object.id,
      agentId,
      object.kind,
      object.account,
      object.application ?? null,
      object.namespace,
      generation,
      object.body,
    ]),
  );
  return allNew ? [] : before;
}

async function selectExisting(db: Db, ids: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const some of batches(ids)) {
    const rows = await db.selectFrom('kubesvc_cache').select('id').where('id', 'in', some).execute();
    for (const { id } of rows) found.push(id);
  }
  return found;
}

const relationRows = bulkUpsert(
  'kubesvc_cache_rel',
  {
    uuid: 'value',
    id: 'value',
    rel_id: 'value',
    rel_type: 'value',
    rel_agent: 'value',
    account: 'value',
    last_updated: 'now',
  },
  ['uuid'],
  { overwrite: false },
);

/** Ids of one look-up: with more, MariaDB uses estimates and reads the whole index. */
const lookUpSize = 100;

/**
 * Replaces the relations of these objects; unchanged ones are not written. They are read first, because a DELETE of
 * all others (`uuid not in`) made MariaDB read the whole table for each statement.
 * @param before ids of objects that were there before: only these have relations
 */
export async function replaceRelations(
  db: Db,
  dialect: SqlDialect,
  objects: readonly ObjectOfAgent[],
  before: readonly string[],
): Promise<void> {
  const surplus = new Set<string>();
  for (const some of batches(before, lookUpSize)) {
    const found = await db.selectFrom('kubesvc_cache_rel').select('uuid').where('id', 'in', some).execute();
    for (const { uuid } of found) surplus.add(uuid);
  }
  const missing = objects.flatMap(({ agentId, object: { id, account, relations } }) =>
    relations.flatMap((relation) => {
      const uuid = digest(id, relation.type, relation.id);
      return surplus.delete(uuid) ? [] : [[uuid, id, relation.id, relation.type, agentId, account]];
    }),
  );
  for (const batch of batches([...surplus].toSorted())) {
    await db.deleteFrom('kubesvc_cache_rel').where('uuid', 'in', batch).execute();
  }
  for (const batch of batches(missing)) await relationRows(db, dialect, batch);
}

function digest(...parts: readonly string[]): string {
  // No part holds a line break: ingest refuses names with control characters.
  return createHash('sha256').update(parts.join('\n')).digest('base64url');
}

export async function deleteObjects(db: Db, ids: readonly string[]): Promise<void> {
  for (const batch of batches(ids)) {
    await db.deleteFrom('kubesvc_cache_rel').where('id', 'in', batch).execute();
    await db.deleteFrom('kubesvc_cache').where('id', 'in', batch).execute();
  }
}

/** Objects of a scope that were last written before this generation. */
export async function selectOlder(db: Db, scope: CacheScope, generation: number, limit: number): Promise<string[]> {
  const { account, kind, namespace } = scope;
  let query = db
    .selectFrom('kubesvc_cache')
    .select('id')
    .where('account', '=', account)
    .where('kind', '=', kind)
    .where('generation', '<', generation)
    .limit(limit);
  if (namespace !== '') query = query.where('namespace', '=', namespace);
  return (await query.execute()).map((row) => row.id);
}

/** Objects of these kinds that nothing was heard of for so long; locked, so that none of them is just being written. */
export async function lockExpired(
  db: Db,
  dialect: SqlDialect,
  kinds: readonly string[],
  olderThanMs: number,
  limit: number,
): Promise<string[]> {
  const rows = await db
    .selectFrom('kubesvc_cache')
    .select('id')
    .where('kind', 'in', kinds)
    .where('last_updated', '<=', msAgo(dialect, olderThanMs))
    .limit(limit)
    .forUpdate()
    .execute();
  return rows.map((row) => row.id);
}

export async function selectOlderOfAccount(
  db: Db,
  account: string,
  generation: number,
  limit: number,
): Promise<string[]> {
  const rows = await db
    .selectFrom('kubesvc_cache')
    .select('id')
    .where('account', '=', account)
    .where('generation', '<', generation)
    .limit(limit)
    // An agent that comes back with one of them waits, and writes it anew.
    .forUpdate()
    .execute();
  return rows.map((row) => row.id);
}
