/** Removes what is cached of accounts that are gone, and old events of Kubernetes: a bounded number at a time, by one replica. */

import { messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import type { CacheStore } from '../../store/cache/cache.js';
import type { LockStore } from '../../store/instances/locks.js';
import { eventKinds } from './kinds.js';

export interface CacheCleanupOptions {
  readonly instanceId: string;
  readonly cache: Pick<CacheStore, 'purge' | 'removeUnknownAccounts'>;
  readonly locks: LockStore;
  /** Age at which an event of Kubernetes goes, in ms. */
  readonly eventsMs: number;
  /** Whether objects go with their account. */
  readonly cleanUnusedAccounts: boolean;
  readonly logger: Logger;
}

const batchSize = 500;
const lockMs = 60_000;
const lockName = 'cache-cleanup';

/** Runs until the signal aborts. */
export function cleanUpCache(options: CacheCleanupOptions, signal: AbortSignal): Promise<void> {
  const { instanceId, locks, eventsMs, logger } = options;
  const periodMs = Math.min(60_000, eventsMs / 4);
  const failed = (error: unknown): void => {
    logger.debug({ error: messageOf(error) }, 'cached objects not cleaned up');
  };
  const pauseMs = (): number => periodMs * (0.8 + 0.4 * Math.random());
  return repeat({ pauseMs, failed }, signal, async () => {
    if (!(await locks.acquire(lockName, instanceId, lockMs, signal))) return;
    await cleanUpOnce(options, signal);
    await locks.release(lockName, instanceId, signal);
  });
}

/** One round, until there is nothing left or the lock is another's. */
async function cleanUpOnce(options: CacheCleanupOptions, signal: AbortSignal): Promise<void> {
  const { instanceId, cache, locks, eventsMs, cleanUnusedAccounts, logger } = options;
  const renew = () => locks.renew(lockName, instanceId, lockMs, signal);
  let events = 0;
  for (let purged = batchSize; purged === batchSize && (await renew());) {
    purged = await cache.purge(eventKinds, eventsMs, batchSize, signal);
    events += purged;
  }
  if (events > 0) logger.info({ events }, 'old events of Kubernetes removed');
  let accounts = 0;
  for (let removed = 1; cleanUnusedAccounts && removed > 0 && (await renew());) {
    removed = await cache.removeUnknownAccounts(signal);
    accounts += removed;
  }
  if (accounts > 0) logger.info({ accounts }, 'cached objects of accounts that are gone removed');
}
