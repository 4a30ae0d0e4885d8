/**
 * Lets another agent cache where the one that did is lost. Whoever's stream broke may not have noticed yet and goes on
 * for up to three ping periods; its accounts are held for it in SQL, on the database's clock. Every instance looks for
 * holds that are over, so that it does not matter which one released them and what became of it.
 */

import { messageOf } from '../../../core/errors.js';
import type { Logger } from '../../../core/logger.js';
import { repeat } from '../../../core/repeat.js';
import { jittered } from '../../../core/retry.js';
import type { OwnershipService } from '../ownership.js';

export interface CachingElectionOptions {
  readonly ownership: OwnershipService;
  /** Time between two looks, ±50 %, in ms. */
  readonly periodMs: number;
  readonly logger: Logger;
}

const batchAccounts = 500;

/** Runs until the signal aborts. */
export async function electCachers(options: CachingElectionOptions, signal: AbortSignal): Promise<void> {
  const { ownership, periodMs, logger } = options;
  let elected = 0;
  const failed = (error: unknown): void => {
    elected = 0;
    logger.debug({ error: messageOf(error) }, 'caching agents not elected');
  };
  // Many accounts at once: the next batch follows immediately.
  const pauseMs = (): number => (elected < batchAccounts ? jittered(periodMs, 0.5) : 0);
  await repeat({ pauseMs, failed }, signal, async () => {
    elected = await ownership.electCachers(batchAccounts, signal);
  });
}
