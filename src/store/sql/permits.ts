/** A bounded queue in front of the connection pool, the same for every engine: the pools' own queues have no bound. */

import { GatewayError } from '../../core/errors.js';

/** At most this many callers may wait for each connection of the pool. */
const waitersPerPermit = 100;

export class Permits {
  readonly #limit: number;
  readonly #timeoutMs: number;
  readonly #waiters = new Set<() => void>();
  #used = 0;

  /** `timeoutMs`: how long a caller waits for its turn. */
  constructor(limit: number, timeoutMs: number) {
    this.#limit = limit;
    this.#timeoutMs = timeoutMs;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /**
   * Waits for a permit, first come first served.
   * @returns a function that returns the permit; call it once
   * @throws GatewayError overloaded, when too many wait already or the wait took too long; the signal's reason
   */
  async acquire(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#used < this.#limit) this.#used += 1;
    else await this.#wait(signal);
    return () => this.#pass();
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiters.size >= this.#limit * waitersPerPermit) return Promise.reject(busy());
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
        this.#waiters.delete(admitted);
      };
      const admitted = (): void => {
        leave();
        resolve();
      };
      const aborted = (): void => {
        leave();
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        leave();
        reject(busy());
      }, this.#timeoutMs);
      signal?.addEventListener('abort', aborted, { once: true });
      this.#waiters.add(admitted);
    });
  }

  // A permit goes straight to the caller that has waited longest, so that nobody can overtake.
  #pass(): void {
    const [next] = this.#waiters;
    if (next === undefined) this.#used -= 1;
    else next();
  }
}

function busy(): GatewayError {
  return new GatewayError('overloaded', 'every connection to the database is busy; try again', { retryAfterMs: 1_000 });
}
