/** kubesvc_instances: the replicas that are alive, by their heartbeats on the database's clock. */
import type { Database } from "./database.js";

export interface InstanceRegistration {
  readonly id: string;
  readonly baseUrl: string;
  readonly version: string;
}

export interface InstanceRecord extends InstanceRegistration {
  /** Last heartbeat, in ms UTC on the database's clock. */
  readonly lastHeartbeatTime: number;
}

const notYet = (...given: unknown[]): Promise<never> =>
  Promise.reject(new Error(`not yet ${given.length}`));

export class InstanceStore {
  readonly #given: readonly unknown[];
  constructor(database: Database) {
    this.#given = [database];
  }

  /**
   * Says that the instance is alive.
   * @returns 'renewed', or 'started' when there was no heartbeat within `leaseMs` before: others may have released
   *   its assignments since, so every connection has to be claimed again
   */
  heartbeat(
    instance: InstanceRegistration,
    leaseMs: number,
    signal?: AbortSignal,
  ): Promise<"renewed" | "started"> {
    return notYet(this.#given, instance, leaseMs, signal);
  }

  /**
   * Ends the instance's lease. Its row stays until nothing is assigned to it any more, so that whoever looks for
   * expired instances releases what it left.
   */
  remove(id: string, signal?: AbortSignal): Promise<void> {
    return notYet(this.#given, id, signal);
  }

  live(
    leaseMs: number,
    signal?: AbortSignal,
  ): Promise<readonly InstanceRecord[]> {
    return notYet(this.#given, leaseMs, signal);
  }

  expired(
    leaseMs: number,
    signal?: AbortSignal,
  ): Promise<readonly InstanceRecord[]> {
    return notYet(this.#given, leaseMs, signal);
  }

  /** Deletes the row of an expired instance without assignments; `false`: it is alive or still owns something. */
  forget(id: string, leaseMs: number, signal?: AbortSignal): Promise<boolean> {
    return notYet(this.#given, id, leaseMs, signal);
  }
}
