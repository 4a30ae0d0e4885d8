/** Chooses which of its agents caches an account that none caches. */

import type { Kysely } from 'kysely';

import { bumpAccounts, lockAccounts, type LockedAccount } from '../accounts/account-statements.js';
import { selectLiveInstances } from '../instances/instance-statements.js';
import { planElection } from './assignment-rules.js';
import { selectAssignments, startCaching } from './assignment-statements.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Ownership } from './ownership.js';
import type { Schema } from '../sql/schema.js';

/**
 * Of those of the accounts that were held, and are no longer. Inside the caller's transaction.
 * @param leaseMs an instance is alive while its last heartbeat is younger, in ms
 * @returns these accounts as they are now
 */
export async function electAfterHolds(
  db: Kysely<Schema>,
  dialect: SqlDialect,
  leaseMs: number,
  names: readonly string[],
): Promise<Ownership[]> {
  const locked = await lockAccounts(db, dialect, names);
  const ended = locked.filter(({ hold, heldBy }) => hold && heldBy === undefined);
  return elect(db, dialect, leaseMs, ended);
}

/**
 * Of those of the accounts that are not held. Inside the caller's transaction.
 * @param leaseMs as electAfterHolds()'s
 * @returns all of the accounts that have a row, as they are now
 */
export async function electWherePossible(
  db: Kysely<Schema>,
  dialect: SqlDialect,
  leaseMs: number,
  names: readonly string[],
): Promise<Ownership[]> {
  return elect(db, dialect, leaseMs, await lockAccounts(db, dialect, names));
}

/** The accounts' rows are locked. */
async function elect(
  db: Kysely<Schema>,
  dialect: SqlDialect,
  leaseMs: number,
  accounts: readonly LockedAccount[],
): Promise<Ownership[]> {
  if (accounts.length === 0) return [];
  const alive = await selectLiveInstances(db, dialect, leaseMs);
  const assignments = await selectAssignments(
    db,
    accounts.map(({ name }) => name),
  );
  const result: Ownership[] = [];
  const changed: string[] = [];
  const promoted: number[] = [];
  for (const { name, version, heldBy } of accounts) {
    const plan = planElection(assignments.get(name) ?? [], (instanceId) => alive.has(instanceId), heldBy);
    const changes = plan.promoted !== undefined;
    if (changes) changed.push(name);
    if (changes) promoted.push(plan.promoted);
    result.push({ account: name, version: changes ? version + 1 : version, assignments: plan.remaining });
  }
  await startCaching(db, promoted);
  await bumpAccounts(db, dialect, changed);
  return result;
}
