/**
 * Since when accounts have had no agent, as far as it was noticed here. A request waits for an agent that is changing
 * replicas; one whose agent has been gone for longer is answered at once, because its client waits by itself. An account
 * that was removed is among them for a while: clients that still have it had better try again than take it for empty.
 */

/** More accounts than are without agents at a time; beyond it, the one that was noticed first is forgotten. */
const limit = 10_000;

export interface AbsentAccountsOptions {
  /** How long requests wait for an agent, in ms. */
  readonly holdMs: number;
  /** How long an account counts as known after it has lost its agents, in ms. */
  readonly forgetMs: number;
  /** A clock that only goes forward, in ms. */
  readonly now: () => number;
}

export class AbsentAccounts {
  readonly #options: AbsentAccountsOptions;
  /** By account, on the monotonic clock in ms. */
  readonly #since = new Map<string, number>();

  constructor(options: AbsentAccountsOptions) {
    this.#options = options;
  }

  /** Until when a request that begins now may wait, by the clock. */
  holdUntil(account: string): number {
    const { holdMs, now } = this.#options;
    return (this.#since.get(account) ?? now()) + holdMs;
  }

  /** Whether the account has lost its last agent, or was removed, a short time ago. */
  isRecent(account: string): boolean {
    const { forgetMs, now } = this.#options;
    const since = this.#since.get(account);
    return since !== undefined && now() - since < forgetMs;
  }

  /** No agent of the account was found. */
  missing(account: string): void {
    if (this.#since.has(account)) return;
    const [oldest] = this.#since.keys();
    if (this.#since.size >= limit && oldest !== undefined) this.#since.delete(oldest);
    this.#since.set(account, this.#options.now());
  }

  /** An agent of the account takes requests. */
  found(account: string): void {
    if (this.#since.size > 0) this.#since.delete(account);
  }
}
