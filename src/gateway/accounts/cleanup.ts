/** Removes accounts that no agent has served for long, a bounded number at a time, by one replica. */

import { messageOf } from '../../core/errors.js';
import { withLock, type ExpiringLocks } from '../../core/lock.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import { jittered } from '../../core/retry.js';
import type { AccountStore } from '../../store/accounts/accounts.js';

export interface AccountCleanupOptions {
  readonly instanceId: string;
  readonly accounts: AccountStore;
  readonly locks: ExpiringLocks;
  /** Tells the mirrors. */
  readonly removed: (names: readonly string[]) => void;
  /** Age at which an account without agents is removed, in ms. */
  readonly ageMs: number;
  readonly logger: Logger;
}

const batchSize = 500;
const lockMs = 60_000;

/** Runs until the signal aborts. */
export function cleanUpAccounts(options: AccountCleanupOptions, signal: AbortSignal): Promise<void> {
  const { instanceId, accounts, locks, removed, ageMs, logger } = options;
  const periodMs = Math.min(60_000, ageMs / 4);
  const failed = (error: unknown): void => {
    logger.debug({ error: messageOf(error) }, 'could not remove accounts without agents; retrying');
  };
  const pauseMs = (): number => jittered(periodMs, 0.2);
  return repeat({ pauseMs, failed }, signal, async () => {
    await withLock({ locks, name: 'account-cleanup', owner: instanceId, ttlMs: lockMs }, signal, async (held) => {
      for (let names = await accounts.removeWithoutAgents(ageMs, batchSize, held); names.length > 0;) {
        removed(names);
        logger.info({ accounts: names.length, first: names[0] }, 'accounts without agents removed');
        names = await accounts.removeWithoutAgents(ageMs, batchSize, held);
      }
    });
  });
}
