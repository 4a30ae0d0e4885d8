/** The statements on kubesvc_owners: one function for each. */

import type { Kysely } from 'kysely';

import { batches } from '../../core/batches.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

export type BoundKind = 'account' | 'zone';

export interface PrincipalBinding {
  readonly kind: BoundKind;
  readonly name: string;
  /** `policy:RULE`, or the name of an identity. */
  readonly principal: string;
  /** Since when, in ms UTC. */
  readonly boundTime: number;
}

/** `limit` bindings after `after`, in the order of their kinds and names. */
export async function selectPrincipals(
  db: Db,
  after: { readonly kind: string; readonly name: string },
  limit: number,
): Promise<PrincipalBinding[]> {
  const kind = after.kind as BoundKind;
  const rows = await db
    .selectFrom('kubesvc_owners')
    .selectAll()
    .where((eb) => eb.or([eb('kind', '>', kind), eb.and([eb('kind', '=', kind), eb('name', '>', after.name)])]))
    .orderBy('kind')
    .orderBy('name')
    .limit(limit)
    .execute();
  return rows.map(({ kind, name, owner, bound_time }) => ({ kind, name, principal: owner, boundTime: bound_time }));
}

/** @returns false when it was nobody's */
export async function deletePrincipal(db: Db, kind: BoundKind, name: string): Promise<boolean> {
  const result = await db
    .deleteFrom('kubesvc_owners')
    .where('kind', '=', kind)
    .where('name', '=', name)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/**
 * Binds accounts or zones without a principal to the wanted ones, in the transaction of the caller.
 * @param wanted principal by name
 * @returns the principal of each
 */
export async function bind(
  db: Db,
  dialect: SqlDialect,
  kind: BoundKind,
  wanted: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, string>> {
  // In the order of names, so that two transactions never wait for each other.
  const names = [...wanted.keys()].toSorted();
  for (const batch of batches(names)) {
    const rows = batch.map((name) => ({ kind, name, owner: wanted.get(name) ?? '', bound_time: dialect.nowMs }));
    await dialect.insertMissing(db.insertInto('kubesvc_owners').values(rows), ['kind', 'name']).execute();
  }
  return principalsOf(db, kind, names);
}

/** The principal of each name that has one. */
export async function principalsOf(
  db: Db,
  kind: BoundKind,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const principals = new Map<string, string>();
  for (const batch of batches(names)) {
    const found = await db
      .selectFrom('kubesvc_owners')
      .select(['name', 'owner'])
      .where('kind', '=', kind)
      .where('name', 'in', batch)
      .execute();
    for (const { name, owner } of found) principals.set(name, owner);
  }
  return principals;
}

/** Accounts among `names` that belong to another principal. */
export async function foreignAccounts(
  db: Db,
  names: readonly string[],
  principal: string,
): Promise<ReadonlySet<string>> {
  const rows = await db
    .selectFrom('kubesvc_owners')
    .select('name')
    .where('kind', '=', 'account')
    .where('name', 'in', names)
    .where('owner', '<>', principal)
    .execute();
  return new Set(rows.map(({ name }) => name));
}

/** They have no principal from now on. */
export async function unbindAccounts(db: Db, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await db.deleteFrom('kubesvc_owners').where('kind', '=', 'account').where('name', 'in', names).execute();
}
