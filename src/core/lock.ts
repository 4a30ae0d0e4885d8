/** Work that one replica at a time does, under a lock that expires: so one that dies holds up the others for `ttlMs` only. */

import { withDeadline } from './deadline.js';
import { GatewayError } from './errors.js';
import { wait } from './retry.js';

/** Locks that expire, shared by all replicas; store/instances/locks.ts has them in SQL. */
export interface ExpiringLocks {
  /** Takes a lock that is free, expired or the holder's already, for `ttlMs` from now. */
  acquire(name: string, holder: string, ttlMs: number, signal?: AbortSignal): Promise<boolean>;
  /** Keeps it for `ttlMs` from now; `false`: it expired or is another's. */
  renew(name: string, holder: string, ttlMs: number, signal?: AbortSignal): Promise<boolean>;
  /** Frees it; `false`: it was not the holder's any more. */
  release(name: string, holder: string, signal?: AbortSignal): Promise<boolean>;
}

export interface LockOptions {
  readonly locks: ExpiringLocks;
  readonly name: string;
  /** The instance that wants it. */
  readonly holder: string;
  /** Another instance can take the lock this long after the last renewal, in ms. */
  readonly ttlMs: number;
  /** Leaves the lock to expire after the work, so that no other instance does the same again before; default: false. */
  readonly keep?: boolean;
}

/**
 * Whether the lock is still this instance's, by the time of its last renewal. True when it is called, whatever happened
 * before: a process that was frozen asks it before it acts on the lock, because its signal aborts a little later.
 */
export type LockHeld = () => boolean;

/** A lock expires by itself: releasing it must not hold up what follows. */
const releaseTimeoutMs = 2_000;

/**
 * Takes the lock and runs `work`, renewing the lock meanwhile; releases it afterwards, also when `signal` has aborted.
 * @param work has to end when its signal aborts: the lock was lost, or `signal` aborted
 * @returns whether the work was done; false: another instance has the lock, or took it over
 * @throws what acquire() or `work` throws; the signal's reason
 */
export async function withLock(
  options: LockOptions,
  signal: AbortSignal,
  work: (signal: AbortSignal, held: LockHeld) => Promise<void>,
): Promise<boolean> {
  const { locks, name, holder, ttlMs, keep = false } = options;
  const asked = performance.now();
  if (!(await locks.acquire(name, holder, ttlMs, signal))) return false;
  const working = new AbortController();
  const stop = (): void => working.abort(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const lost = new GatewayError('cancelled', `lock ${name} was lost to another instance, or could not be renewed`);
  const expiry = { at: asked + ttlMs };
  const renewing = renewUntilLost(options, expiry, working.signal).then(() => working.abort(lost));
  try {
    working.signal.throwIfAborted();
    await work(working.signal, () => !working.signal.aborted && performance.now() < expiry.at);
    return true;
  } catch (error) {
    if (working.signal.reason === lost) return false;
    throw error;
  } finally {
    working.abort();
    signal.removeEventListener('abort', stop);
    await renewing;
    if (!keep) await locks.release(name, holder, AbortSignal.timeout(releaseTimeoutMs)).catch(() => false);
  }
}

/** Renews three times in each `ttlMs`; ends when the lock is lost, is not renewed by `expiry`, or the signal aborts. */
async function renewUntilLost(options: LockOptions, expiry: { at: number }, signal: AbortSignal): Promise<void> {
  const { locks, name, holder, ttlMs } = options;
  for (let leftMs = ttlMs; leftMs > 0; leftMs = expiry.at - performance.now()) {
    await wait(Math.min(ttlMs / 3, leftMs), signal).catch(() => undefined);
    if (signal.aborted) return;
    const asked = performance.now();
    const renewal = withDeadline(Math.max(1, expiry.at - asked), signal, `renewing lock ${name}`, (within) =>
      locks.renew(name, holder, ttlMs, within),
    );
    // One that fails is tried again until the lock has expired.
    const renewed = await renewal.catch(() => undefined);
    if (renewed === true) expiry.at = asked + ttlMs;
    if (renewed === false) return;
  }
}
