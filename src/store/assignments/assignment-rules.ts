/** The rules of ownership, without SQL: the effect of a claim or a release on the assignments of one account. */

import type { Assignment, Connection } from './ownership.js';

/** An assignment with its row's id. */
export interface AssignmentRow extends Assignment {
  readonly id: number;
}

export type ClaimPlan =
  /** A newer connection of the agent owns it. */
  | { readonly kind: 'late' }
  /** This connection already owns it. */
  | { readonly kind: 'held' }
  | { readonly kind: 'insert' | 'replace'; readonly caching: boolean };

/**
 * At most one agent caches: the one that already did, otherwise the first one.
 * @param heldBy the agent that may still be caching although its stream broke: no other agent starts
 */
export function planClaim(connection: Connection, rows: readonly Assignment[], heldBy: string | undefined): ClaimPlan {
  const mine = rows.find((row) => row.agentId === connection.agentId);
  if (mine !== undefined && mine.epoch > connection.epoch) return { kind: 'late' };
  if (mine?.epoch === connection.epoch) return { kind: 'held' };
  const free = heldBy === undefined || heldBy === connection.agentId;
  const caching = free && !rows.some((row) => row !== mine && row.caching);
  return { kind: mine === undefined ? 'insert' : 'replace', caching };
}

export interface ReleasePlan {
  readonly removed: readonly number[];
  /** The row that takes over the caching, if that is needed and there is one. */
  readonly promoted?: number;
  /**
   * How long no other agent may cache, because the caching agent is gone but may not have stopped, in ms; 0: it has
   * stopped.
   */
  readonly holdMs: number;
  readonly remaining: readonly Assignment[];
}

export interface ReleaseRules {
  readonly released: (row: AssignmentRow) => boolean;
  readonly alive: (instanceId: string) => boolean;
  /** How long the agent of a released row may go on caching, in ms; 0: it has certainly stopped. */
  readonly cachesForMs: (row: AssignmentRow) => number;
  /** As planClaim()'s. */
  readonly heldBy: string | undefined;
}

export function planRelease(
  rows: readonly AssignmentRow[],
  { released, alive, cachesForMs, heldBy }: ReleaseRules,
): ReleasePlan {
  const removed = rows.filter(released);
  const kept = rows.filter((row) => !released(row));
  const cached = removed.find((row) => row.caching);
  const holdMs = cached === undefined ? 0 : Math.max(0, cachesForMs(cached));
  const heir = removed.length === 0 || holdMs > 0 || heldBy !== undefined ? undefined : heirOf(kept, alive);
  return {
    removed: removed.map((row) => row.id),
    ...(heir === undefined ? {} : { promoted: heir.id }),
    holdMs,
    remaining: kept.map((row) => plain(row, row === heir || row.caching)),
  };
}

/**
 * The agent that caches an account from now on, if none does and one can.
 * @param heldBy as planClaim()'s
 */
export function planElection(
  rows: readonly AssignmentRow[],
  alive: (instanceId: string) => boolean,
  heldBy: string | undefined,
): { readonly promoted?: number; readonly remaining: readonly Assignment[] } {
  const heir = heldBy === undefined ? heirOf(rows, alive) : undefined;
  return {
    ...(heir === undefined ? {} : { promoted: heir.id }),
    remaining: rows.map((row) => plain(row, row === heir || row.caching)),
  };
}

/** Prefers agents at live instances, and among those the one that has been connected longest. */
function heirOf(rows: readonly AssignmentRow[], alive: (instanceId: string) => boolean): AssignmentRow | undefined {
  if (rows.some((row) => row.caching)) return undefined;
  return rows.toSorted((a, b) => Number(alive(b.instanceId)) - Number(alive(a.instanceId)) || a.epoch - b.epoch)[0];
}

function plain({ agentId, instanceId, epoch, processId }: Omit<Assignment, 'caching'>, caching: boolean): Assignment {
  return { agentId, instanceId, epoch, ...(processId === undefined ? {} : { processId }), caching };
}

/** The assignments of an account after a claim, in the order of their agents. */
export function afterClaim(
  connection: Connection,
  rows: readonly Assignment[],
  plan: ClaimPlan,
): readonly Assignment[] {
  const others = rows.filter(
    (row) => plan.kind === 'late' || plan.kind === 'held' || row.agentId !== connection.agentId,
  );
  const result = others.map((row) => plain(row, row.caching));
  if (plan.kind === 'insert' || plan.kind === 'replace') result.push(plain(connection, plan.caching));
  return result.toSorted((a, b) => (a.agentId < b.agentId ? -1 : 1));
}
