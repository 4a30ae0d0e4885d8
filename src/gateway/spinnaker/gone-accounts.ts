/** Since when accounts are gone, as one holder of the lock has seen it without a gap. */

import type { PublishedAccountList } from './published-accounts.js';

export class GoneAccounts {
  readonly #cleanUpMs: number;
  readonly #now: () => number;
  /** Names of accounts that no agent serves, and since when. */
  readonly #since = new Map<string, number>();

  /** @param now ms that never jump */
  constructor(cleanUpMs: number, now: () => number = () => performance.now()) {
    this.#cleanUpMs = cleanUpMs;
    this.#now = now;
  }

  /**
   * @param stored names at Clouddriver
   * @returns whether one of them has been gone, or without an answer, for the clean-up time
   */
  observe(list: PublishedAccountList, stored: Iterable<string>): (name: string) => boolean {
    const answering = new Set(list.accounts.filter((account) => account.answering).map(({ name }) => name));
    for (const { name } of list.unpublished) answering.add(name);
    const absent = new Set([...stored].filter((name) => !answering.has(name)));
    for (const name of this.#since.keys()) if (!absent.has(name)) this.#since.delete(name);
    for (const name of absent) if (!this.#since.has(name)) this.#since.set(name, this.#now());
    return (name) => this.#now() - (this.#since.get(name) ?? Infinity) >= this.#cleanUpMs;
  }

  /** There was a gap: every time begins again. */
  forget(): void {
    this.#since.clear();
  }
}
