/** The statements on the tables of cached objects: one function for each. */

import { createHash } from 'node:crypto';
import { sql, type Kysely } from 'kysely';
import { batches } from '../../core/batches.js';
import { bulkUpsert } from '../sql/bulk-upsert.js';
import type { CachedObject, CacheScope, CachingAgent, CachingHolder, StoredResumePoint } from './cached-object.js';
import type { SqlDialect } from '../sql/dialect.js';
import { foreignAccounts } from '../accounts/owners.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

/** Those of the accounts whose caching the agent's connection has, locked until the transaction ends. */
export async function lockCaching(
  db: Db,
  { agentId, epoch, owner }: CachingAgent,
  accounts: readonly string[],
): Promise<string[]> {
  const rows = await db
    .selectFrom('kubesvc_assignments')
    .select('account_name')
    .where('account_name', 'in', accounts)
    .where('agent_id', '=', agentId)
    .where('epoch', '=', epoch)
    .where('caching', '=', true)
    .orderBy('account_name')
    .forUpdate()
    .execute();
  const held = rows.map((row) => row.account_name);
  if (owner === undefined || held.length === 0) return held;
  const foreign = await foreignAccounts(db, held, owner);
  return held.filter((account) => !foreign.has(account));
}

/** Notes the number of the stream that may write these locked accounts from now on. */
export async function startStream(
  db: Db,
  { agentId }: CachingAgent,
  accounts: readonly string[],
  stream: number,
): Promise<void> {
  await db
    .updateTable('kubesvc_assignments')
    .set({ caching_stream: stream })
    .where('account_name', 'in', accounts)
    .where('agent_id', '=', agentId)
    .execute();
}

/**
 * Who caches the accounts, locked until the transaction ends: no claim or release can come between this and a write.
 * The lock is shared, because MySQL's optimizer reads a small table from end to end: transactions that write other
 * accounts would wait for each other's rows.
 */
export async function lockHolders(
  db: Db,
  dialect: SqlDialect,
  accounts: readonly string[],
): Promise<Map<string, CachingHolder>> {
  const rows = await db
    .selectFrom('kubesvc_assignments')
    .select(['account_name', 'agent_id', 'epoch', 'caching_stream'])
    .where('account_name', 'in', accounts)
    .where('caching', '=', true)
    .orderBy('account_name')
    .orderBy('agent_id')
    .modifyEnd(dialect.shareLock)
    .execute();
  return new Map(
    rows.map((row) => [row.account_name, { agentId: row.agent_id, epoch: row.epoch, stream: row.caching_stream }]),
  );
}

export async function selectResumePoints(db: Db, accounts: readonly string[]): Promise<StoredResumePoint[]> {
  const rows = await db
    .selectFrom('kubesvc_resourceversion')
    .select(['account', 'ns_group_kind', 'resourceversion'])
    .where('account', 'in', accounts)
    .where('resourceversion', '<>', '')
    .orderBy('id')
    .execute();
  return rows.map((row) => ({
    account: row.account,
    key: row.ns_group_kind,
    resourceVersion: row.resourceversion,
  }));
}

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

/** @returns whether all of them are new, as far as the engine tells */
export function upsertObjects(db: Db, dialect: SqlDialect, objects: readonly ObjectOfAgent[]): Promise<boolean> {
  return objectRows(
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

/** Ids of one look-up: for more, MariaDB estimates instead of looking, and reads the whole index. */
const lookUpSize = 100;

/**
 * Makes the relations of these objects what they are now; those that stay are not written. They are read first: a DELETE of
 * all others (`uuid not in`) made MariaDB read the whole table for each statement.
 * @param allNew whether none of the objects was there before, so that there is nothing to read
 */
export async function replaceRelations(
  db: Db,
  dialect: SqlDialect,
  objects: readonly ObjectOfAgent[],
  allNew: boolean,
): Promise<void> {
  const surplus = new Set<string>();
  const ids = allNew ? [] : objects.map(({ object }) => object.id);
  for (const some of batches(ids, lookUpSize)) {
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

/** Notes where watches may resume. */
export async function upsertVersions(
  db: Db,
  dialect: SqlDialect,
  versions: readonly { readonly scope: CacheScope; readonly resourceVersion: string }[],
): Promise<void> {
  const rows = versions.map(({ scope, resourceVersion }) => ({
    id: `${scope.account}:${scope.key}`,
    account: scope.account,
    ns_group_kind: scope.key,
    resourceversion: resourceVersion,
    last_updated: dialect.nowMs,
  }));
  for (const batch of batches(rows.toSorted((a, b) => (a.id < b.id ? -1 : 1)))) {
    const query = db.insertInto('kubesvc_resourceversion').values(batch);
    await dialect.upsert(query, ['id'], ['resourceversion', 'last_updated']).execute();
  }
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
    .where('last_updated', '<=', sql<number>`${dialect.nowMs} - ${sql.lit(olderThanMs)}`)
    .limit(limit)
    .forUpdate()
    .execute();
  return rows.map((row) => row.id);
}

/** Accounts with cached scopes that are not in kubesvc_accounts, in name order. */
export async function selectUnknownAccounts(db: Db, among: readonly string[] | number): Promise<string[]> {
  let query = db
    .selectFrom('kubesvc_resourceversion as v')
    .select('v.account')
    .distinct()
    .where((eb) =>
      eb.not(eb.exists(eb.selectFrom('kubesvc_accounts as a').select('a.name').whereRef('a.name', '=', 'v.account'))),
    )
    .orderBy('v.account');
  query = typeof among === 'number' ? query.limit(among) : query.where('v.account', 'in', among);
  return (await query.execute()).map((row) => row.account);
}

/** From now on no stream may resume: each begins with snapshots. */
export async function forgetVersions(db: Db, accounts: readonly string[]): Promise<void> {
  await db
    .updateTable('kubesvc_resourceversion')
    .set({ resourceversion: '' })
    .where('account', 'in', accounts)
    .execute();
}

/** The number that the last connection or stream of the cluster got. */
export async function selectLastNumber(db: Db): Promise<number> {
  const row = await db.selectFrom('kubesvc_counters').select('value').where('name', '=', 'epoch').executeTakeFirst();
  return row?.value ?? 0;
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
    // Whoever comes back with one of them waits, and writes it anew.
    .forUpdate()
    .execute();
  return rows.map((row) => row.id);
}

export async function deleteForgottenVersions(db: Db, account: string): Promise<void> {
  await db
    .deleteFrom('kubesvc_resourceversion')
    .where('account', '=', account)
    .where('resourceversion', '=', '')
    .execute();
}
