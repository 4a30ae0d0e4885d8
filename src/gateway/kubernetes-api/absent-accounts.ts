/**
 * Since when accounts have had no agent, as far as the requests here have noticed. A request waits for an agent that is
 * changing replicas; one whose agent has been gone for longer is answered at once, because its client waits by itself.
 */

/** More accounts than are without agents at a time; beyond it, the one that was noticed first is forgotten. */
const limit = 10_000;

export class AbsentAccounts {
  readonly #holdMs: number;
  readonly #now: () => number;
  /** By account, on the monotonic clock in ms. */
  readonly #since = new Map<string, number>();

  /** @param holdMs how long requests wait for an agent, in ms @param now a clock that only goes forward, in ms */
  constructor(holdMs: number, now: () => number) {
    this.#holdMs = holdMs;
    this.#now = now;
  }

  /** Until when a request that begins now may wait, by the clock. */
  holdUntil(account: string): number {
    return (this.#since.get(account) ?? this.#now()) + this.#holdMs;
  }

  /** No agent of the account was found. */
  missing(account: string): void {
    if (this.#since.has(account)) return;
    const [oldest] = this.#since.keys();
    if (this.#since.size >= limit && oldest !== undefined) this.#since.delete(oldest);
    this.#since.set(account, this.#now());
  }

  /** An agent of the account takes requests. */
  found(account: string): void {
    if (this.#since.size > 0) this.#since.delete(account);
  }
}
