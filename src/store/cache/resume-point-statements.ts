/** The statements on kubesvc_resourceversion, where watches may resume: one function for each. */

import type { Kysely } from 'kysely';

import { batches } from '../../core/batches.js';
import type { CacheScope, StoredResumePoint } from './cached-object.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

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

export async function deleteForgottenVersions(db: Db, account: string): Promise<void> {
  await db
    .deleteFrom('kubesvc_resourceversion')
    .where('account', '=', account)
    .where('resourceversion', '=', '')
    .execute();
}
