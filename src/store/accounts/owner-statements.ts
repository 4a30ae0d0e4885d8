/** The statements on kubesvc_owners: one function for each. */

import type { Kysely } from 'kysely';

import { batches } from '../../core/batches.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

export type OwnedKind = 'account' | 'zone';

export interface Owner {
  readonly kind: OwnedKind;
  readonly name: string;
  /** The owner's name: `policy:RULE`, or the name of an identity. */
  readonly owner: string;
  /** Since when, in ms UTC. */
  readonly boundTime: number;
}

/** `limit` bindings after `after`, in the order of their kinds and names. */
export async function selectOwners(
  db: Db,
  after: { readonly kind: string; readonly name: string },
  limit: number,
): Promise<Owner[]> {
  const kind = after.kind as OwnedKind;
  const rows = await db
    .selectFrom('kubesvc_owners')
    .selectAll()
    .where((eb) => eb.or([eb('kind', '>', kind), eb.and([eb('kind', '=', kind), eb('name', '>', after.name)])]))
    .orderBy('kind')
    .orderBy('name')
    .limit(limit)
    .execute();
  return rows.map(({ bound_time, ...row }) => ({ ...row, boundTime: bound_time }));
}

/** @returns false when it was nobody's */
export async function deleteOwner(db: Db, kind: OwnedKind, name: string): Promise<boolean> {
  const result = await db
    .deleteFrom('kubesvc_owners')
    .where('kind', '=', kind)
    .where('name', '=', name)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/**
 * Binds accounts or zones without an owner to their wanted owners, in the transaction of the caller.
 * @param wanted owner by name
 * @returns the owner of each
 */
export async function bind(
  db: Db,
  dialect: SqlDialect,
  kind: OwnedKind,
  wanted: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, string>> {
  // In the order of names, so that two transactions never wait for each other.
  const names = [...wanted.keys()].toSorted();
  for (const batch of batches(names)) {
    const rows = batch.map((name) => ({ kind, name, owner: wanted.get(name) ?? '', bound_time: dialect.nowMs }));
    await dialect.insertMissing(db.insertInto('kubesvc_owners').values(rows), ['kind', 'name']).execute();
  }
  return ownersOf(db, kind, names);
}

/** The owner of each name that has one. */
export async function ownersOf(
  db: Db,
  kind: OwnedKind,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const owners = new Map<string, string>();
  for (const batch of batches(names)) {
    const found = await db
      .selectFrom('kubesvc_owners')
      .select(['name', 'owner'])
      .where('kind', '=', kind)
      .where('name', 'in', batch)
      .execute();
    for (const { name, owner } of found) owners.set(name, owner);
  }
  return owners;
}

/** Accounts among `names` that belong to another owner. */
export async function foreignAccounts(db: Db, names: readonly string[], owner: string): Promise<ReadonlySet<string>> {
  const rows = await db
    .selectFrom('kubesvc_owners')
    .select('name')
    .where('kind', '=', 'account')
    .where('name', 'in', names)
    .where('owner', '<>', owner)
    .execute();
  return new Set(rows.map(({ name }) => name));
}

/** They have no owner from now on. */
export async function unbindAccounts(db: Db, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await db.deleteFrom('kubesvc_owners').where('kind', '=', 'account').where('name', 'in', names).execute();
}
