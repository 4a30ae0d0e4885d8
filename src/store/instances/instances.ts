/** kubesvc_instances: the replicas that are alive, by their heartbeats on the database's clock. */

import type { InstanceRecord, InstanceRegistration } from './instance-record.js';
import {
  deleteEndedInstance,
  deleteReapedInstances,
  endLease,
  markReaped,
  renewLease,
  selectInstances,
  startLease,
} from './instance-statements.js';
import type { Database } from '../sql/database.js';

export class InstanceStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Renews the lease of the instance.
   * @returns 'renewed', or 'started' when there was no heartbeat within `leaseMs` before: others may have released
   *   its assignments since, so every connection has to be claimed again
   */
  async heartbeat(
    instance: InstanceRegistration,
    leaseMs: number,
    signal?: AbortSignal,
  ): Promise<'renewed' | 'started'> {
    const { dialect } = this.#database;
    return this.#database.run(async (db) => {
      if (await renewLease(db, dialect, instance, leaseMs)) return 'renewed';
      await startLease(db, dialect, instance);
      return 'started';
    }, signal);
  }

  /**
   * Ends the instance's lease. Its row stays until nothing is assigned to it any longer, so that the reaper of another
   * instance finds it and releases its assignments.
   */
  async remove(id: string, signal?: AbortSignal): Promise<void> {
    await this.#database.run((db) => endLease(db, id), signal);
  }

  /** Instances whose last heartbeat is younger than `leaseMs`, in the order of their ids. */
  live(leaseMs: number, signal?: AbortSignal): Promise<readonly InstanceRecord[]> {
    const { dialect } = this.#database;
    return this.#database.run((db) => selectInstances(db, dialect, 'live', leaseMs), signal);
  }

  /** Instances whose last heartbeat is older, or that ended their lease, and that others must take over from. */
  expired(leaseMs: number, signal?: AbortSignal): Promise<readonly InstanceRecord[]> {
    const { dialect } = this.#database;
    return this.#database.run((db) => selectInstances(db, dialect, 'expired', leaseMs), signal);
  }

  /** Instances whose last heartbeat is older although they did not end their lease, in the order of their ids. */
  lost(leaseMs: number, signal?: AbortSignal): Promise<readonly InstanceRecord[]> {
    const { dialect } = this.#database;
    return this.#database.run((db) => selectInstances(db, dialect, 'lost', leaseMs), signal);
  }

  /**
   * Nothing is left to take over from an expired instance. One that ended its lease is forgotten; one that was lost stays
   * known until forgetLost().
   * @returns false: it is alive or still owns something
   */
  async reaped(id: string, leaseMs: number, signal?: AbortSignal): Promise<boolean> {
    const { dialect } = this.#database;
    return this.#database.run(
      async (db) => (await markReaped(db, dialect, id, leaseMs)) || (await deleteEndedInstance(db, id)),
      signal,
    );
  }

  /** Forgets a lost instance, or those lost for longer than a time. @returns how many */
  forgetLost(
    which: { readonly id: string } | { readonly ageMs: number },
    leaseMs: number,
    signal?: AbortSignal,
  ): Promise<number> {
    const { dialect } = this.#database;
    return this.#database.run((db) => deleteReapedInstances(db, dialect, which, leaseMs), signal);
  }
}
