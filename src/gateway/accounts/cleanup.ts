/** Removes accounts that no agent has served for long, a bounded number at a time, by one replica. */

import { messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import type { AccountStore } from '../../store/accounts.js';
import type { LockStore } from '../../store/locks.js';

export interface AccountCleanupOptions {
  readonly instanceId: string;
  readonly accounts: AccountStore;
  readonly locks: LockStore;
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
  const pauseMs = (): number => periodMs * (0.8 + 0.4 * Math.random());
  return repeat({ pauseMs, failed }, signal, async () => {
    if (!(await locks.acquire('account-cleanup', instanceId, lockMs, signal))) return;
    for (let names = await accounts.removeWithoutAgents(ageMs, batchSize, signal); names.length > 0;) {
      removed(names);
      logger.info({ accounts: names.length, first: names[0] }, 'accounts without agents removed');
      names = await accounts.removeWithoutAgents(ageMs, batchSize, signal);
    }
    await locks.release('account-cleanup', instanceId, signal);
  });
}
