/** kubesvc_locks: locks that expire, on the database's clock, so that clock skew between replicas does not matter. */
import type { Database } from "./database.js";

const notYet = (...given: unknown[]): Promise<never> =>
  Promise.reject(new Error(`not yet ${given.length}`));

export class LockStore {
  readonly #given: readonly unknown[];
  constructor(database: Database) {
    this.#given = [database];
  }

  /** Takes a lock that is free, expired or the owner's already, for `ttlMs` from now. */
  acquire(
    name: string,
    owner: string,
    ttlMs: number,
    signal?: AbortSignal,
  ): Promise<boolean> {
    return notYet(this.#given, name, owner, ttlMs, signal);
  }

  /** Keeps the lock for `ttlMs` from now; `false`: it expired or is another's, so stop what it protects. */
  renew(
    name: string,
    owner: string,
    ttlMs: number,
    signal?: AbortSignal,
  ): Promise<boolean> {
    return notYet(this.#given, name, owner, ttlMs, signal);
  }

  /** Frees the owner's lock; `false`: it was not the owner's any more. */
  release(name: string, owner: string, signal?: AbortSignal): Promise<boolean> {
    return notYet(this.#given, name, owner, signal);
  }
}
