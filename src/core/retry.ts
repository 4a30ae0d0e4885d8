/** Waiting and trying again: every wait ends with its signal, every retry has a limit, backoff and jitter. */

import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

export interface Backoff {
  /** First wait, in ms. */
  readonly initialMs: number;
  /** No wait is longer, in ms. */
  readonly maximumMs: number;
  readonly multiplier: number;
  /** Part of each wait that is random, 0 to 1: 0.2 gives 80 % to 120 %. */
  readonly jitter: number;
}

/** The backoff of gRPC's connection protocol, with a cap that suits calls inside one cluster. */
export const defaultBackoff: Backoff = { initialMs: 100, maximumMs: 5_000, multiplier: 1.6, jitter: 0.2 };

/**
 * A random time around `time`, in its unit, so that those who wait for the same do not act in the same moment.
 * @param jitter part of it that is random, 0 to 1: 0.2 gives 80 % to 120 %
 */
export function jittered(time: number, jitter: number, random: () => number = Math.random): number {
  return time * (1 + jitter * (2 * random() - 1));
}

/** The wait before attempt `attempt` (0 is the first retry), in ms. */
export function backoffMs(backoff: Backoff, attempt: number, random?: () => number): number {
  const base = Math.min(backoff.maximumMs, backoff.initialMs * backoff.multiplier ** Math.min(attempt, 64));
  return Math.round(jittered(base, backoff.jitter, random));
}

/**
 * Waits `ms`.
 * @throws the signal's reason when it aborts first
 */
export async function wait(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  // Any number of waits may listen to one signal, each until its time is over: that is not a leak.
  setMaxListeners(0, signal);
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

export interface RetryOptions {
  readonly signal: AbortSignal;
  /** Attempts in all, the first included. */
  readonly attempts: number;
  readonly backoff?: Backoff;
  /** Whether the failure may be temporary; default: every failure is. */
  readonly retryable?: (error: unknown) => boolean;
  readonly onRetry?: (error: unknown, attempt: number, waitMs: number) => void;
}

/**
 * Runs `task` until it succeeds.
 * @throws the last failure, once attempts are used up or it is not retryable; the signal's reason when aborted
 */
export async function retry<T>(task: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  const { signal, attempts, backoff = defaultBackoff, retryable = () => true, onRetry } = options;
  for (let attempt = 0; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      return await task(attempt);
    } catch (error) {
      if (attempt + 1 >= attempts || !retryable(error)) throw error;
      const waitMs = backoffMs(backoff, attempt);
      onRetry?.(error, attempt + 1, waitMs);
      await wait(waitMs, signal);
    }
  }
}
