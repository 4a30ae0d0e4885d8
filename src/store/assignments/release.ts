/** Releases assignments: those of many connections in one transaction, or those of a dead instance. */

import type { Kysely } from 'kysely';

import { nextStatus } from '../accounts/account-lifecycle.js';
import { bumpAccounts, lockAccounts, orphanAccounts } from '../accounts/account-statements.js';
import { holdCaching } from '../accounts/hold-statements.js';
import { selectLiveInstances } from '../instances/instance-statements.js';
import { planRelease, type AssignmentRow } from './assignment-rules.js';
import { deleteAssignments, selectAssignments, startCaching } from './assignment-statements.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Connection, Ownership } from './ownership.js';
import type { Schema } from '../sql/schema.js';

/** The assignments that a connection releases. */
export interface ReleaseRequest {
  readonly connection: Pick<Connection, 'instanceId' | 'agentId' | 'epoch'>;
  readonly accounts: readonly string[];
  /** How long its agent may go on caching, as far as is known, in ms: no other agent caches before that. */
  readonly cachesForMs: number;
}

export interface ReleaseContext {
  readonly db: Kysely<Schema>;
  readonly dialect: SqlDialect;
  /** An instance is alive while its last heartbeat is younger, in ms. */
  readonly leaseMs: number;
  /** Not the first attempt: an earlier one may have been committed without an answer. */
  readonly repeated: boolean;
}

/** Releases what exactly these connections own among their accounts. @returns the accounts that changed */
export async function releaseConnections(
  context: ReleaseContext,
  requests: readonly ReleaseRequest[],
): Promise<Ownership[]> {
  const names = [...new Set(requests.flatMap(({ accounts }) => accounts))].toSorted();
  const byConnection = new Map<string, { readonly accounts: ReadonlySet<string>; readonly cachesForMs: number }>();
  for (const { connection, accounts, cachesForMs } of requests) {
    const key = keyOf(connection);
    const others = byConnection.get(key)?.accounts ?? [];
    byConnection.set(key, { accounts: new Set([...others, ...accounts]), cachesForMs });
  }
  return release(context, names, {
    released: (account, row) => byConnection.get(keyOf(row))?.accounts.has(account) === true,
    cachesForMs: (row) => byConnection.get(keyOf(row))?.cachesForMs ?? 0,
  });
}

/** Releases what an instance owns among these accounts, unless it is alive again. @returns the accounts that changed */
export async function releaseOfInstance(
  context: ReleaseContext,
  instanceId: string,
  names: readonly string[],
  cachesForMs: number,
): Promise<Ownership[]> {
  return release(context, names, {
    unlessAlive: instanceId,
    released: (_, row) => row.instanceId === instanceId,
    cachesForMs: () => cachesForMs,
  });
}

interface Releasing {
  /** While this instance is alive, it keeps everything. */
  readonly unlessAlive?: string;
  readonly released: (account: string, row: AssignmentRow) => boolean;
  readonly cachesForMs: (row: AssignmentRow) => number;
}

async function release(
  { db, dialect, leaseMs, repeated }: ReleaseContext,
  names: readonly string[],
  { unlessAlive, released, cachesForMs }: Releasing,
): Promise<Ownership[]> {
  if (names.length === 0) return [];
  const locked = await lockAccounts(db, dialect, names);
  // Checked after locking: an instance that comes back renews its lease before it claims again, so its new rows are
  // safe.
  const alive = await selectLiveInstances(db, dialect, leaseMs);
  if (unlessAlive !== undefined && alive.has(unlessAlive)) return [];
  const assignments = await selectAssignments(db, names);
  const result: Ownership[] = [];
  const changed: string[] = [];
  const removed: number[] = [];
  const promoted: number[] = [];
  const held: string[] = [];
  const orphaned: string[] = [];
  let holdMs = 0;
  for (const row of locked) {
    const { name, version, heldBy } = row;
    const plan = planRelease(assignments.get(name) ?? [], {
      released: (assignment) => released(name, assignment),
      alive: (instanceId) => alive.has(instanceId),
      cachesForMs,
      heldBy,
    });
    removed.push(...plan.removed);
    if (plan.holdMs > 0) held.push(name);
    // One statement holds them all, for the longest of the times: a longer hold is safe.
    holdMs = Math.max(holdMs, plan.holdMs);
    if (plan.promoted !== undefined) promoted.push(plan.promoted);
    if (plan.removed.length > 0) {
      if (row.dynamic && plan.remaining.length === 0 && nextStatus(row.status, 'abandoned') !== undefined)
        orphaned.push(name);
      changed.push(name);
      result.push({ account: name, version: version + 1, assignments: plan.remaining });
    } else if (repeated) {
      result.push({ account: name, version, assignments: plan.remaining });
    }
  }
  // Before the rows that say which agent cached are deleted.
  await holdCaching(db, dialect, held, holdMs);
  await deleteAssignments(db, removed);
  await startCaching(db, promoted);
  await bumpAccounts(db, dialect, changed);
  await orphanAccounts(db, orphaned);
  return result;
}

function keyOf({ instanceId, agentId, epoch }: ReleaseRequest['connection']): string {
  return `${instanceId}\n${agentId}\n${String(epoch)}`;
}
