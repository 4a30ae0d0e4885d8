/**
 * The in-process mirror: account -> ownership, a hint that costs one Map look-up. SQL stays the truth; a wrong hint
 * is detected by the owner's "not owner" answer. Without Redis it serves a single replica.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Ownership } from '../assignments/ownership.js';
import { AssignmentPool } from './assignment-pool.js';

/** Called for every change; a removed account comes as ownership without assignments. Must not throw. */
export type OwnershipListener = (ownership: Ownership, previous: Ownership | undefined) => void;

/** Accounts looked at in one turn of the event loop when a reload ends: a few ms. */
const accountsPerTurn = 10_000;

/** A complete load under way. Only one at a time; other changes are still applied meanwhile. */
export interface Reload {
  /** Applies an entry if it is newer, and records that the account exists. */
  add(ownership: Ownership): void;
  /** Removes the accounts that were not set since the reload began, by add() or otherwise. @returns their number */
  commit(): Promise<number>;
  /** Ends the reload, committed or not. */
  end(): void;
}

export class OwnershipMap {
  readonly #entries = new Map<string, Ownership>();
  readonly #pool = new AssignmentPool();
  readonly #listeners = new Set<OwnershipListener>();
  /** Accounts seen since the running reload began. */
  #seen: Set<string> | undefined;

  get size(): number {
    return this.#entries.size;
  }

  get(account: string): Ownership | undefined {
    return this.#entries.get(account);
  }

  /**
   * Keeps the ownership if it is newer than the known one. @returns whether it was
   * @param previous the former ownership for listeners, if the entry itself was dropped meanwhile
   */
  set(ownership: Ownership, previous = this.#entries.get(ownership.account)): boolean {
    const current = this.#entries.get(ownership.account);
    // Uses the string of the existing key, so that the second copy can be freed.
    const account = current?.account ?? ownership.account;
    this.#seen?.add(account);
    if (current !== undefined && current.version >= ownership.version) return false;
    const kept = { account, version: ownership.version, assignments: this.#pool.take(ownership.assignments) };
    if (current !== undefined) this.#pool.release(current.assignments);
    this.#entries.set(account, kept);
    if (previous === undefined || previous.version !== kept.version) this.#notify(kept, previous);
    return true;
  }

  /** Forgets an account that no longer exists, unless the known ownership is newer than `version`. */
  remove(account: string, version = Number.POSITIVE_INFINITY): boolean {
    const current = this.#entries.get(account);
    if (current === undefined || current.version > version) return false;
    this.drop(account);
    this.#notify({ account, version: current.version, assignments: [] }, current);
    return true;
  }

  /** Forgets a hint that turned out wrong, without telling listeners. @returns the hint */
  drop(account: string): Ownership | undefined {
    const current = this.#entries.get(account);
    if (current === undefined) return undefined;
    this.#entries.delete(account);
    this.#pool.release(current.assignments);
    return current;
  }

  /** Returns the function that ends the subscription. */
  onChange(listener: OwnershipListener): () => void {
    // A function of its own, so that registering one listener twice gives two independent subscriptions.
    const subscription: OwnershipListener = (ownership, previous) => {
      listener(ownership, previous);
    };
    this.#listeners.add(subscription);
    return () => this.#listeners.delete(subscription);
  }

  /** @throws Error while another reload runs */
  beginReload(): Reload {
    if (this.#seen !== undefined) throw new Error('a reload is running already');
    const seen = new Set<string>();
    this.#seen = seen;
    return {
      add: (ownership) => this.set(ownership),
      commit: () => this.#removeUnseen(seen),
      end: () => {
        if (this.#seen === seen) this.#seen = undefined;
      },
    };
  }

  async #removeUnseen(seen: ReadonlySet<string>): Promise<number> {
    let looked = 0;
    let removed = 0;
    for (const account of this.#entries.keys()) {
      if (!seen.has(account) && this.remove(account)) removed += 1;
      looked += 1;
      if (looked % accountsPerTurn === 0) await nextTurn();
    }
    return removed;
  }

  #notify(ownership: Ownership, previous: Ownership | undefined): void {
    for (const listener of this.#listeners) listener(ownership, previous);
  }
}
