/**
 * Shares Assignment objects between accounts: an agent that serves 1,000 accounts is one object (and one array of it)
 * in memory, not 1,000. Uses are counted, so that ended connections are removed.
 */

import type { Assignment } from '../assignments/ownership.js';

type Single = readonly [Assignment];

interface PooledConnection {
  /** Accounts whose assignments hold one of the two. */
  uses: number;
  caching: Single | undefined;
  plain: Single | undefined;
}

const none: readonly Assignment[] = Object.freeze([]);

export class AssignmentPool {
  // The epoch alone identifies a connection, and so its agent and instance.
  readonly #connections = new Map<number, PooledConnection>();

  /** Connections that some account refers to. */
  get size(): number {
    return this.#connections.size;
  }

  /** The same assignments, made of shared objects; to be given back to release() when no longer held. */
  take(assignments: readonly Assignment[]): readonly Assignment[] {
    const [first] = assignments;
    if (first === undefined) return none;
    if (assignments.length === 1) return this.#take(first);
    return assignments.map((assignment) => this.#take(assignment)[0]);
  }

  release(assignments: readonly Assignment[]): void {
    for (const assignment of assignments) {
      const pooled = this.#connections.get(assignment.epoch);
      if (pooled === undefined || !holds(pooled, assignment)) continue;
      pooled.uses -= 1;
      if (pooled.uses === 0) this.#connections.delete(assignment.epoch);
    }
  }

  #take(assignment: Assignment): Single {
    const { agentId, instanceId, epoch, processId, caching } = assignment;
    let pooled = this.#connections.get(epoch);
    if (pooled === undefined) {
      pooled = { uses: 0, caching: undefined, plain: undefined };
      this.#connections.set(epoch, pooled);
    }
    const other = (pooled.caching ?? pooled.plain)?.[0];
    if (other !== undefined && !sameConnection(other, assignment)) return [assignment];
    pooled.uses += 1;
    const kind = caching ? 'caching' : 'plain';
    // Taken apart, so that both objects of a connection hold the same strings.
    return (pooled[kind] ??= [
      {
        agentId: other?.agentId ?? agentId,
        instanceId: other?.instanceId ?? instanceId,
        epoch,
        caching,
        ...(processId === undefined ? {} : { processId: other?.processId ?? processId }),
      },
    ]);
  }
}

/** An older version of the gateway does not send the process. */
function sameConnection(one: Assignment, other: Assignment): boolean {
  return one.agentId === other.agentId && one.instanceId === other.instanceId && one.processId === other.processId;
}

function holds(pooled: PooledConnection, assignment: Assignment): boolean {
  return pooled.caching?.[0] === assignment || pooled.plain?.[0] === assignment;
}
