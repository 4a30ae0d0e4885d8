/**
 * Deletes history that is older than `weeks`, in batches of a bounded size, by one replica at a time. A replica that
 * dies half-way leaves only a lock that expires: each batch is a statement of its own, and another replica continues.
 * Age is measured by the database's clock: a replica whose own clock is wrong must not delete records that others need.
 */

import { messageOf } from '../../core/errors.js';
import { withLock, type ExpiringLocks } from '../../core/lock.js';
import type { Logger } from '../../core/logger.js';
import { jittered, wait } from '../../core/retry.js';
import type { OperationStore } from '../../store/operations/operations.js';

export interface RetentionOptions {
  readonly instanceId: string;
  readonly operations: Pick<OperationStore, 'purge'>;
  readonly locks: ExpiringLocks;
  readonly weeks: number;
  /**
   * The first time to purge after `time`, in Unix ms; without it, history is purged all the time, a little at a time.
   */
  readonly schedule: { next(time: number): number | undefined } | undefined;
  /** Called after each batch with the number of deleted records. */
  readonly purged: (count: number) => void;
  readonly logger: Logger;
  /** Wall clock, Unix ms: the schedule uses it. */
  readonly now: () => number;
  readonly settings?: Partial<RetentionSettings>;
}

export interface RetentionSettings {
  /** Between two purges without `cron`, in ms. */
  readonly periodMs: number;
  readonly batchSize: number;
  /** Pause between two batches, in ms, so that operations get their turn. */
  readonly pauseMs: number;
  /** Time after which another replica takes over from one that died during a purge, in ms. */
  readonly lockMs: number;
}

const defaults: RetentionSettings = { periodMs: 10 * 60_000, batchSize: 500, pauseMs: 50, lockMs: 60_000 };
const lockName = 'operation-history-purge';
const weekMs = 7 * 24 * 3_600_000;
/** How often the time of day is checked: somebody may set the clock meanwhile. */
const longestWaitMs = 60_000;

/** Runs until the signal aborts. */
export async function purgeHistory(options: RetentionOptions, signal: AbortSignal): Promise<void> {
  const { schedule, logger, now } = options;
  const settings = { ...defaults, ...options.settings };
  for (;;) {
    const pauseMs = jittered(settings.periodMs, 0.2);
    if (schedule === undefined) await wait(pauseMs, signal).catch(() => undefined);
    else await until(schedule.next(now()) ?? Number.POSITIVE_INFINITY, now, signal);
    while (!signal.aborted) {
      try {
        if (await purgeOnce(options, settings, signal)) break;
      } catch (error) {
        if (!signal.aborted) logger.warn({ error: messageOf(error) }, 'history not purged; retrying');
      }
      // Another replica is purging, or the database is unavailable: check again, in case that replica dies.
      await wait(settings.lockMs / 2, signal).catch(() => undefined);
    }
    if (signal.aborted) return;
  }
}

/** @returns false if another replica is purging, or has taken over */
function purgeOnce(
  { instanceId, operations, locks, weeks, purged, logger }: RetentionOptions,
  { batchSize, pauseMs, lockMs }: RetentionSettings,
  signal: AbortSignal,
): Promise<boolean> {
  return withLock({ locks, name: lockName, owner: instanceId, ttlMs: lockMs }, signal, async (held) => {
    let total = 0;
    for (;;) {
      const count = await operations.purge(weeks * weekMs, batchSize, held);
      if (count > 0) purged(count);
      total += count;
      if (count < batchSize) break;
      await wait(pauseMs, held);
    }
    if (total > 0) logger.info({ records: total, weeks }, 'history purged');
  });
}

async function until(time: number, now: () => number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && now() < time) {
    await wait(Math.min(Math.max(1, time - now()), longestWaitMs), signal).catch(() => undefined);
  }
}
