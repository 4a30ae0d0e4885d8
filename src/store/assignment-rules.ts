/** The rules of ownership, without SQL: what a claim or a release makes of the assignments of one account. */

import type { Assignment, Connection } from './ownership.js';

/** An assignment with its row's id. */
export interface AssignmentRow extends Assignment {
  readonly id: number;
}

export type ClaimPlan =
  /** A newer connection of the agent owns it. */
  | { readonly kind: 'late' }
  /** This very connection owns it already. */
  | { readonly kind: 'held' }
  | { readonly kind: 'insert'; readonly caching: boolean }
  | { readonly kind: 'replace'; readonly id: number; readonly caching: boolean };

/** At most one agent caches: the one that did, else the first to come. */
export function planClaim(connection: Connection, rows: readonly AssignmentRow[]): ClaimPlan {
  const mine = rows.find((row) => row.agentId === connection.agentId);
  if (mine !== undefined && mine.epoch > connection.epoch) return { kind: 'late' };
  if (mine?.epoch === connection.epoch) return { kind: 'held' };
  const caching = !rows.some((row) => row !== mine && row.caching);
  return mine === undefined ? { kind: 'insert', caching } : { kind: 'replace', id: mine.id, caching };
}

export interface ReleasePlan {
  readonly removed: readonly number[];
  /** The row that takes over the caching, if one has to and there is one. */
  readonly promoted?: number;
  readonly remaining: readonly Assignment[];
}

/** The heir is at an instance that is alive, if any is, and among those the one that is connected longest. */
export function planRelease(
  rows: readonly AssignmentRow[],
  released: (row: AssignmentRow) => boolean,
  alive: (instanceId: string) => boolean,
): ReleasePlan {
  const removed = rows.filter(released);
  const kept = rows.filter((row) => !released(row));
  const heir =
    removed.length === 0 || kept.some((row) => row.caching)
      ? undefined
      : kept.toSorted((a, b) => Number(alive(b.instanceId)) - Number(alive(a.instanceId)) || a.epoch - b.epoch)[0];
  return {
    removed: removed.map((row) => row.id),
    ...(heir === undefined ? {} : { promoted: heir.id }),
    remaining: kept.map((row) => plain(row, row === heir || row.caching)),
  };
}

function plain({ agentId, instanceId, epoch }: Omit<Assignment, 'caching'>, caching: boolean): Assignment {
  return { agentId, instanceId, epoch, caching };
}

/** The assignments of an account after a claim, in the order of their agents. */
export function afterClaim(
  connection: Connection,
  rows: readonly AssignmentRow[],
  plan: ClaimPlan,
): readonly Assignment[] {
  const others = rows.filter(
    (row) => plan.kind === 'late' || plan.kind === 'held' || row.agentId !== connection.agentId,
  );
  const result = others.map((row) => plain(row, row.caching));
  if (plan.kind === 'insert' || plan.kind === 'replace') result.push(plain(connection, plan.caching));
  return result.toSorted((a, b) => (a.agentId < b.agentId ? -1 : 1));
}
