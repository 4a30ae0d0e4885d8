/**
 * Deletes history that is older than `weeks`, in batches of a bounded size, by one replica at a time. One that dies
 * half-way leaves nothing but a lock that expires: each batch is a statement of its own, and another replica goes on.
 * What is old, the database's clock decides: a replica whose own clock is wrong must not delete what all others need.
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
  /** The first time to purge after `time`, in Unix ms; without, it is done all the time, a little at a time. */
  readonly schedule: { next(time: number): number | undefined } | undefined;
  /** Told after each batch how many records went. */
  readonly purged: (count: number) => void;
  readonly logger: Logger;
  /** Wall clock, Unix ms: what the schedule is of. */
  readonly now: () => number;
  readonly settings?: Partial<RetentionSettings>;
}

export interface RetentionSettings {
  /** Between two purges without `cron`, in ms. */
  readonly periodMs: number;
  readonly batchSize: number;
  /** Between two batches, so that operations get their turn, in ms. */
  readonly pauseMs: number;
  /** A replica that dies while it purges is followed by another after this time, in ms. */
  readonly lockMs: number;
}

const defaults: RetentionSettings = { periodMs: 10 * 60_000, batchSize: 500, pauseMs: 50, lockMs: 60_000 };
const lockName = 'operation-history-purge';
const weekMs = 7 * 24 * 3_600_000;
/** Somebody may set the clock meanwhile: a time of day is looked for so often. */
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
        if (!signal.aborted) logger.warn({ error: messageOf(error) }, 'history not purged; trying again');
      }
      // Another replica is at it, or the database is away: look again, in case that one dies.
      await wait(settings.lockMs / 2, signal).catch(() => undefined);
    }
    if (signal.aborted) return;
  }
}

/** @returns false when another replica is at it, or has taken over */
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
