/**
 * Keeps Clouddriver's account store equal to what agents serve: one instance at a time, under a lock, compares both every few
 * seconds and writes what differs. Once it has lost the lock it writes nothing. An account that is gone here is removed there only
 * after it has been seen to be gone for the clean-up time by this holder of the lock, without a gap: never right after a
 * start or a loss of SQL.
 */

import { GatewayError, messageOf } from '../../core/errors.js';
import { withLock, type ExpiringLocks, type LockHeld } from '../../core/lock.js';
import type { Logger } from '../../core/logger.js';
import { backoffMs, jittered, wait } from '../../core/retry.js';
import type { ClouddriverAccountStore } from '../../store/accounts/clouddriver-accounts.js';
import type { ClouddriverAddress } from '../accounts/clouddriver-requests.js';
import type { Metrics } from '../telemetry/metrics.js';
import { AccountWrites } from './account-writes.js';
import { planAccounts } from './account-plan.js';
import { ClouddriverStorage } from './clouddriver-storage.js';
import { GoneAccounts } from './gone-accounts.js';
import type { PublishedAccounts } from './published-accounts.js';
import { saveStates } from './account-states.js';

export interface ClouddriverAccountsOptions {
  readonly instanceId: string;
  readonly published: Pick<PublishedAccounts, 'list'>;
  readonly address: ClouddriverAddress;
  readonly states: Pick<ClouddriverAccountStore, 'list' | 'write'>;
  readonly locks: ExpiringLocks;
  /** Another instance takes over this long after the last sign of life of one, in ms. */
  readonly lockMs: number;
  /** Name of this cluster of gateways. */
  readonly gateways: string;
  readonly pollMs: number;
  /** How long an account is gone before Clouddriver loses it, in ms. */
  readonly cleanUpMs: number;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'clouddriver'>;
}

/** Between two attempts to get the lock, in ms. */
const lockPauseMs = 1_000;

/** Runs until the signal aborts; never rejects. */
export async function keepClouddriverAccounts(options: ClouddriverAccountsOptions, signal: AbortSignal): Promise<void> {
  const { locks, instanceId, lockMs, logger, metrics } = options;
  const lock = { locks, name: 'clouddriver-accounts', holder: instanceId, ttlMs: lockMs };
  while (!signal.aborted) {
    try {
      await withLock(lock, signal, (held, isHeld) => hold(options, held, isHeld));
    } catch (error) {
      if (!signal.aborted) logger.debug({ error: messageOf(error) }, 'no lock for accounts of Clouddriver; retrying');
    }
    // Told by the instance that has the lock now.
    metrics.clouddriver.accounts.reset();
    await wait(jittered(lockPauseMs, 0.2), signal).catch(() => undefined);
  }
}

/** Compares again and again while the lock is held. @throws the reason of the signal */
async function hold(options: ClouddriverAccountsOptions, signal: AbortSignal, isHeld: LockHeld): Promise<void> {
  const { instanceId, pollMs, cleanUpMs, logger, metrics, address } = options;
  logger.info({ instanceId }, "this instance keeps Clouddriver's accounts");
  const gone = new GoneAccounts(cleanUpMs);
  const writes = new AccountWrites(options);
  for (let failures = 0; ;) {
    try {
      await compare({ ...options, gone, writes }, signal, isHeld);
      if (failures > 0)
        logger.info({ setting: address.field }, 'Clouddriver answers again; its accounts are kept up to date');
      failures = 0;
      metrics.clouddriver.comparisons.inc({ outcome: 'done' });
    } catch (error) {
      signal.throwIfAborted();
      if (!isHeld()) throw error;
      // What happened meanwhile is not known.
      gone.forget();
      metrics.clouddriver.comparisons.inc({ outcome: 'failed' });
      const fields = { error: messageOf(error), setting: address.field };
      if (failures === 0) logger.warn(fields, "Clouddriver's accounts cannot be kept up to date; retrying");
      else logger.debug(fields, "Clouddriver's accounts still cannot be kept up to date");
      failures += 1;
    }
    const backoff = { initialMs: Math.min(500, pollMs), maximumMs: pollMs, multiplier: 1.6, jitter: 0.2 };
    await wait(failures === 0 ? jittered(pollMs, 0.1) : backoffMs(backoff, failures - 1), signal);
  }
}

interface Comparison extends ClouddriverAccountsOptions {
  readonly gone: GoneAccounts;
  readonly writes: AccountWrites;
}

async function compare(options: Comparison, signal: AbortSignal, isHeld: LockHeld): Promise<void> {
  const { published, states, address, gateways, gone, writes, metrics, logger } = options;
  const storage = await ClouddriverStorage.open(address, isHeld);
  try {
    const before = await states.list(signal);
    // Clouddriver's first: an account that comes in between is then missing there, and not here.
    const stored = await storage.all(signal);
    const list = await published.list(signal);
    const isOver = gone.observe(list, stored.keys());
    const steps = planAccounts({ published: list, stored, gateways, isOver });
    const after = await writes.perform(steps, storage, signal);
    if (!isHeld()) throw new GatewayError('cancelled', 'another instance does this now');
    await saveStates({ states, metrics, logger, complete: writes.failure === undefined }, before, after, signal);
    if (writes.failure !== undefined) throw writes.failure;
  } finally {
    await storage.close();
  }
}
