/** Releases what dead instances owned: one survivor does it, under a lock, in bounded batches. */

import { withDeadline } from '../../core/deadline.js';
import { messageOf } from '../../core/errors.js';
import { withLock, type ExpiringLocks } from '../../core/lock.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import { jittered } from '../../core/retry.js';
import type { InstanceStore } from '../../store/instances/instances.js';
import type { Lease } from './lease.js';
import type { OwnershipService } from './ownership.js';

export interface ReaperOptions {
  readonly instanceId: string;
  readonly instances: InstanceStore;
  readonly locks: ExpiringLocks;
  readonly ownership: OwnershipService;
  readonly lease: Lease;
  readonly leaseMs: number;
  /** How long agents of an instance whose lease has just ended may go on caching, in ms. */
  readonly cachingGraceMs: number;
  /** Cleans up everything else that an instance leaves behind; called by one survivor. */
  readonly onDead: (instanceId: string, signal: AbortSignal) => Promise<unknown>;
  readonly logger: Logger;
}

const batchAccounts = 2_000;
const lockMs = 30_000;

export class Reaper {
  readonly #options: ReaperOptions;

  constructor(options: ReaperOptions) {
    this.#options = options;
  }

  /** Looks for dead instances until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    const { lease, leaseMs, logger } = this.#options;
    const failed = (error: unknown): void => {
      logger.debug({ error: messageOf(error) }, 'could not look for dead instances; retrying');
    };
    // Replicas look at different times, so that usually one takes the lock and the others find nothing to do.
    const pauseMs = (): number => jittered(leaseMs / 4, 0.5);
    return repeat({ pauseMs, failed }, signal, async () => {
      if (!lease.steady) return;
      await withDeadline(lockMs, signal, 'looking for dead instances', (within) => this.#look(within));
    });
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { instanceId, instances, locks, leaseMs } = this.#options;
    for (const { id } of await instances.expired(leaseMs, signal)) {
      if (id === instanceId) continue;
      const lock = { locks, name: `reap:${id}`, holder: instanceId, ttlMs: lockMs };
      await withLock(lock, signal, (held) => this.#reap(id, held));
    }
  }

  async #reap(id: string, signal: AbortSignal): Promise<void> {
    const { instances, ownership, leaseMs, cachingGraceMs, onDead, logger } = this.#options;
    let released = 0;
    for (;;) {
      const changed = await ownership.releaseInstance(id, batchAccounts, signal, cachingGraceMs);
      if (changed.length === 0) break;
      released += changed.length;
    }
    await onDead(id, signal);
    const reaped = await instances.reaped(id, leaseMs, signal);
    if (reaped) logger.info({ deadInstanceId: id, accounts: released }, 'dead instance cleaned up');
  }
}
