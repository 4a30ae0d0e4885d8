/**
 * Changes that Redis has not confirmed yet: the latest per account, bounded; changes that do not fit are left to a
 * rebuild.
 */

import type { Change } from './wire.js';

/** Accounts in one write and in one message. */
const batchAccounts = 500;
/** Assignments in one write: bounds the message where many agents serve each account, to about 256 KiB. */
const batchAssignments = 2_000;

export class Outbox {
  readonly #limit: number;
  readonly #pending = new Map<string, Change>();
  #overflowed = false;

  /** @param limit accounts at most */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#pending.size;
  }

  has(account: string): boolean {
    return this.#pending.has(account);
  }

  accounts(): Iterable<string> {
    return this.#pending.keys();
  }

  /** Beyond the limit all changes are dropped, including later ones, until takeOverflow(). */
  put(changes: Iterable<Change>): void {
    for (const change of changes) {
      if (this.#overflowed) return;
      const pending = this.#pending.get(change.account);
      if (pending !== undefined && pending.version > change.version) continue;
      this.#pending.set(change.account, change);
      if (this.#pending.size <= this.#limit) continue;
      this.#pending.clear();
      this.#overflowed = true;
    }
  }

  /** Whether changes were dropped since the last call: only a rebuild that begins now has them all. */
  takeOverflow(): boolean {
    const overflowed = this.#overflowed;
    this.#overflowed = false;
    return overflowed;
  }

  /** The next changes to write, oldest first; they stay until settle(). */
  batch(): Change[] {
    const batch: Change[] = [];
    let assignments = 0;
    for (const change of this.#pending.values()) {
      assignments += 'assignments' in change ? change.assignments.length : 0;
      if (batch.length === batchAccounts || (assignments > batchAssignments && batch.length > 0)) break;
      batch.push(change);
    }
    return batch;
  }

  /** Redis has accepted the batch; an account that has changed again meanwhile stays. */
  settle(batch: readonly Change[]): void {
    for (const change of batch) {
      if (this.#pending.get(change.account) === change) this.#pending.delete(change.account);
    }
  }
}
