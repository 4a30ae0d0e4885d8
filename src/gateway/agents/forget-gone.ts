/** Forgets agents and instances that have been gone for long, a bounded number at a time, by one replica. */

import { messageOf } from '../../core/errors.js';
import { withLock, type ExpiringLocks } from '../../core/lock.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import { jittered } from '../../core/retry.js';
import type { InstanceStore } from '../../store/instances/instances.js';
import type { PresenceStore } from '../../store/presence/presence.js';

export interface ForgetGoneOptions {
  readonly instanceId: string;
  readonly presence: Pick<PresenceStore, 'forgetOld'>;
  readonly instances: Pick<InstanceStore, 'forgetLost'>;
  readonly locks: ExpiringLocks;
  readonly leaseMs: number;
  /** Age at which they are forgotten, in ms. */
  readonly ageMs: number;
  readonly logger: Logger;
}

const batchSize = 500;
const lockMs = 60_000;

/** Runs until the signal aborts. */
export function forgetGone(options: ForgetGoneOptions, signal: AbortSignal): Promise<void> {
  const { instanceId, presence, instances, locks, leaseMs, ageMs, logger } = options;
  const periodMs = Math.min(60_000, ageMs / 4);
  const failed = (error: unknown): void => {
    logger.debug({ error: messageOf(error) }, 'could not forget agents and instances that are gone; retrying');
  };
  const pauseMs = (): number => jittered(periodMs, 0.2);
  return repeat({ pauseMs, failed }, signal, async () => {
    await withLock({ locks, name: 'forget-gone', holder: instanceId, ttlMs: lockMs }, signal, async (held) => {
      let agents = 0;
      for (let count = batchSize; count === batchSize; agents += count)
        count = await presence.forgetOld(ageMs, batchSize, held);
      const lost = await instances.forgetLost({ ageMs }, leaseMs, held);
      if (agents + lost > 0) logger.info({ agents, instances: lost }, 'agents and instances that were gone forgotten');
    });
  });
}
