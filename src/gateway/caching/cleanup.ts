/**
 * Removes cached objects of removed accounts, and old Kubernetes events: a bounded number at a time, on one replica.
 */

import { messageOf } from '../../core/errors.js';
import { withLock, type ExpiringLocks } from '../../core/lock.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import { jittered } from '../../core/retry.js';
import type { CacheStore } from '../../store/cache/cache.js';
import { eventKinds } from './kinds.js';

export interface CacheCleanupOptions {
  readonly instanceId: string;
  readonly cache: Pick<CacheStore, 'purge' | 'removeUnknownAccounts'>;
  readonly locks: ExpiringLocks;
  /** Age at which a Kubernetes event is removed, in ms. */
  readonly eventsMs: number;
  /** Whether objects are removed with their account. */
  readonly cleanUnusedAccounts: boolean;
  readonly logger: Logger;
}

const batchSize = 500;
const lockMs = 60_000;

/** Runs until the signal aborts. */
export function cleanUpCache(options: CacheCleanupOptions, signal: AbortSignal): Promise<void> {
  const { instanceId, locks, eventsMs, logger } = options;
  const periodMs = Math.min(60_000, eventsMs / 4);
  const failed = (error: unknown): void => {
    logger.debug({ error: messageOf(error) }, 'could not clean up cached objects; retrying');
  };
  const pauseMs = (): number => jittered(periodMs, 0.2);
  return repeat({ pauseMs, failed }, signal, async () => {
    const lock = { locks, name: 'cache-cleanup', owner: instanceId, ttlMs: lockMs };
    await withLock(lock, signal, (held) => cleanUpOnce(options, held));
  });
}

/** One round, until there is nothing left or the signal aborts. */
async function cleanUpOnce(options: CacheCleanupOptions, signal: AbortSignal): Promise<void> {
  const { cache, eventsMs, cleanUnusedAccounts, logger } = options;
  let events = 0;
  for (let purged = batchSize; purged === batchSize;) {
    purged = await cache.purge(eventKinds, eventsMs, batchSize, signal);
    events += purged;
  }
  if (events > 0) logger.info({ events }, 'old Kubernetes events removed');
  let accounts = 0;
  for (let removed = 1; cleanUnusedAccounts && removed > 0;) {
    removed = await cache.removeUnknownAccounts(signal);
    accounts += removed;
  }
  if (accounts > 0) logger.info({ accounts }, 'cached objects of removed accounts deleted');
}
