/**
 * Elects another agent to cache an account after its caching agent was lost. An agent whose stream broke may not have
 * noticed yet, and caches for up to three more ping periods; SQL reserves its accounts for that time, on the database's
 * clock. Every instance looks for reservations that have ended, so it does not matter which instance released the
 * accounts or whether it still runs.
 */

import { messageOf } from '../../../core/errors.js';
import type { Logger } from '../../../core/logger.js';
import { repeat } from '../../../core/repeat.js';
import { jittered } from '../../../core/retry.js';
import type { OwnershipService } from '../ownership.js';

export interface CachingElectionOptions {
  readonly ownership: OwnershipService;
  /** Time between two rounds, ±50 %, in ms. */
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
    logger.debug({ error: messageOf(error) }, 'could not elect caching agents; retrying');
  };
  // Many accounts at once: the next batch follows immediately.
  const pauseMs = (): number => (elected < batchAccounts ? jittered(periodMs, 0.5) : 0);
  await repeat({ pauseMs, failed }, signal, async () => {
    elected = await ownership.electCachers(batchAccounts, signal);
  });
}
