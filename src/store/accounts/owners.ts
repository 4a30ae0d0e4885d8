/**
 * kubesvc_owners: whose an account or a zone is. The first identity that registers it gets it, and nobody else does until
 * an operator releases it: the binding outlives the account's row, which goes when its agents are away for long.
 */

import type { Kysely } from 'kysely';

import { batches } from '../../core/batches.js';
import type { Database } from '../sql/database.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';

export type OwnedKind = 'account' | 'zone';

export interface Owner {
  readonly kind: OwnedKind;
  readonly name: string;
  /** The owner's name: `policy:RULE`, or the name of an identity. */
  readonly owner: string;
  /** Since when, in ms UTC. */
  readonly boundTime: number;
}

export class OwnerStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Binds a zone that is nobody's.
   * @returns whether it is the owner's now
   */
  async bindZone(zoneId: string, owner: string, signal: AbortSignal): Promise<boolean> {
    const { dialect } = this.#database;
    const wanted = new Map([[zoneId, owner]]);
    const owners = await this.#database.transaction((trx) => bind(trx, dialect, 'zone', wanted), signal);
    return owners.get(zoneId) === owner;
  }

  /** `limit` bindings after `after` (its kind and name), in that order. */
  async list(
    after: { readonly kind: string; readonly name: string },
    limit: number,
    signal: AbortSignal,
  ): Promise<readonly Owner[]> {
    const rows = await this.#database.run(
      (db) =>
        db
          .selectFrom('kubesvc_owners')
          .selectAll()
          .where((eb) =>
            eb.or([
              eb('kind', '>', after.kind as OwnedKind),
              eb.and([eb('kind', '=', after.kind as OwnedKind), eb('name', '>', after.name)]),
            ]),
          )
          .orderBy('kind')
          .orderBy('name')
          .limit(limit)
          .execute(),
      signal,
    );
    return rows.map(({ bound_time, ...row }) => ({ ...row, boundTime: bound_time }));
  }

  /** Whoever registers it next gets it. @returns false when it was nobody's */
  async release(kind: OwnedKind, name: string, signal: AbortSignal): Promise<boolean> {
    const result = await this.#database.run(
      (db) => db.deleteFrom('kubesvc_owners').where('kind', '=', kind).where('name', '=', name).executeTakeFirst(),
      signal,
    );
    return result.numDeletedRows > 0n;
  }
}

/**
 * Binds what has no owner to the owner that is wanted for it, in the transaction of the caller.
 * @param wanted owner by name
 * @returns the owner of each
 */
export async function bind(
  db: Kysely<Schema>,
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

/** The owner of each of the names that has one. */
export async function ownersOf(
  db: Kysely<Schema>,
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

/** Accounts among `names` that are another one's. */
export async function foreignAccounts(
  db: Kysely<Schema>,
  names: readonly string[],
  owner: string,
): Promise<ReadonlySet<string>> {
  const rows = await db
    .selectFrom('kubesvc_owners')
    .select('name')
    .where('kind', '=', 'account')
    .where('name', 'in', names)
    .where('owner', '<>', owner)
    .execute();
  return new Set(rows.map(({ name }) => name));
}

/** They are nobody's from now on. */
export async function unbindAccounts(db: Kysely<Schema>, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await db.deleteFrom('kubesvc_owners').where('kind', '=', 'account').where('name', 'in', names).execute();
}
