/** What an instance knows of revoked tokens: without SQL, it goes on with what it knew. */

import { messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import type { TokenRevocationStore } from '../../store/accounts/token-revocations.js';

/** Others learn of a revocation within this time, in ms. */
const readMs = 2_000;
const timeoutMs = 10_000;

export class TokenRevocations {
  readonly #store: Pick<TokenRevocationStore, 'all' | 'revoke'>;
  #revokedAt: ReadonlyMap<string, number> = new Map();

  constructor(store: Pick<TokenRevocationStore, 'all' | 'revoke'>) {
    this.#store = store;
  }

  /** When the account's tokens were revoked last, Unix ms; 0: never. */
  of(account: string): number {
    return this.#revokedAt.get(account) ?? 0;
  }

  /**
   * Revokes every token of the account that exists; this instance refuses them from now on.
   * @returns the time of the revocation, Unix ms
   * @throws GatewayError `dependency-unavailable`; it may have been revoked nonetheless
   */
  async revoke(account: string, signal: AbortSignal): Promise<number> {
    const revokedAt = await this.#store.revoke(account, signal);
    this.#learn(new Map([[account, revokedAt]]));
    return revokedAt;
  }

  /** @throws GatewayError `dependency-unavailable` */
  async read(signal: AbortSignal): Promise<void> {
    this.#learn(await this.#store.all(signal));
  }

  /** Reads again and again until the signal aborts; never rejects. */
  async run(logger: Logger, signal: AbortSignal): Promise<void> {
    let isStale = false;
    const failed = (error: unknown): void => {
      if (!isStale)
        logger.warn(
          { error: messageOf(error) },
          'cannot read which tokens of accounts are revoked; those revoked from now on are accepted until it can',
        );
      isStale = true;
    };
    await repeat({ pauseMs: () => readMs * (0.5 + Math.random() / 2), failed }, signal, async () => {
      await this.read(AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
      if (isStale) logger.info({}, 'revoked tokens of accounts are known again');
      isStale = false;
    });
  }

  /** A revocation is never taken back, also not by an answer that is older than a call of revoke(). */
  #learn(found: ReadonlyMap<string, number>): void {
    const next = new Map(this.#revokedAt);
    for (const [account, at] of found) next.set(account, Math.max(at, this.of(account)));
    this.#revokedAt = next;
  }
}
