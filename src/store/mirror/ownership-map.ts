/**
 * The in-process mirror: account -> ownership, a hint that costs one Map look-up. SQL stays the truth; a wrong hint
 * is found out by the owner's "not owner" answer. Alone (no Redis) it serves a single replica.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Ownership } from '../assignments/ownership.js';
import { AssignmentPool } from './assignment-pool.js';

/** Hears of every change; an account that vanished comes as ownership without assignments. Must not throw. */
export type OwnershipListener = (ownership: Ownership, previous: Ownership | undefined) => void;

/** Accounts looked at in one turn of the event loop when a reload ends: a few ms. */
const accountsPerTurn = 10_000;

/** A complete load under way. Only one at a time; changes from elsewhere go on being applied beside it. */
export interface Reload {
  /** Applies an entry where it is newer, and notes that the account exists. */
  add(ownership: Ownership): void;
  /** Removes the accounts that neither add() nor anybody else has set since the reload began; gives their number. */
  commit(): Promise<number>;
  /** Ends it, committed or not. */
  end(): void;
}

export class OwnershipMap {
  readonly #entries = new Map<string, Ownership>();
  readonly #pool = new AssignmentPool();
  readonly #listeners = new Set<OwnershipListener>();
  /** Accounts met since the running reload began. */
  #seen: Set<string> | undefined;

  get size(): number {
    return this.#entries.size;
  }

  get(account: string): Ownership | undefined {
    return this.#entries.get(account);
  }

  /**
   * Keeps the ownership if it is newer than what is known; says whether it was.
   * @param previous what listeners are told was known before, where the entry itself was dropped meanwhile
   */
  set(ownership: Ownership, previous = this.#entries.get(ownership.account)): boolean {
    const current = this.#entries.get(ownership.account);
    // The one string that is the key already, so that a second copy can go.
    const account = current?.account ?? ownership.account;
    this.#seen?.add(account);
    if (current !== undefined && current.version >= ownership.version) return false;
    const kept = { account, version: ownership.version, assignments: this.#pool.take(ownership.assignments) };
    if (current !== undefined) this.#pool.release(current.assignments);
    this.#entries.set(account, kept);
    if (previous === undefined || previous.version !== kept.version) this.#notify(kept, previous);
    return true;
  }

  /** Forgets an account that does not exist any more, unless what is known is newer than `version`. */
  remove(account: string, version = Number.POSITIVE_INFINITY): boolean {
    const current = this.#entries.get(account);
    if (current === undefined || current.version > version) return false;
    this.drop(account);
    this.#notify({ account, version: current.version, assignments: [] }, current);
    return true;
  }

  /** Forgets a hint that turned out wrong, silently; gives it back. */
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
