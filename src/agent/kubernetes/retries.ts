/**
 * When a request to the API server is sent again. What cannot have taken effect always may be (it did not connect, or the
 * server said 429 or "not now"); what may have, only where sending it twice is the same as sending it once.
 */

import { GatewayError, messageOf } from '../../core/errors.js';
import { backoffMs, wait } from '../../core/retry.js';
import { ApiError } from '../../kubernetes/client.js';

/** Armory's `kubernetes.retries.*`. */
export interface Retries {
  readonly enabled: boolean;
  readonly maxRetries: number;
  readonly backOffMs: number;
  /** Every failure is worth another attempt, but for refusals of what was asked (4xx). */
  readonly retryAnyError: boolean;
  /** Parts of messages of failures that pass by themselves. */
  readonly retryableErrors: readonly string[];
}

export const defaultRetries: Retries = {
  enabled: true,
  maxRetries: 3,
  backOffMs: 3_000,
  retryAnyError: false,
  retryableErrors: ['timeout', 'deadline exceeded'],
};

/** No server's Retry-After is followed for longer, in ms. */
const longestWaitMs = 30_000;

/** @param repeatable whether the request may be sent twice. @throws the last failure; the signal's reason */
export async function withRetries<T>(
  retries: Retries,
  repeatable: boolean,
  signal: AbortSignal,
  task: (attempt: number) => Promise<T>,
): Promise<T> {
  const { enabled, maxRetries, backOffMs } = retries;
  const backoff = { initialMs: backOffMs, maximumMs: longestWaitMs, multiplier: 1.6, jitter: 0.2 };
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await task(attempt);
    } catch (error) {
      signal.throwIfAborted();
      if (!enabled || attempt >= maxRetries || !mayRepeat(error, repeatable, retries)) throw error;
      const asked = error instanceof ApiError ? error.retryAfterMs : undefined;
      await wait(Math.min(longestWaitMs, asked ?? backoffMs(backoff, attempt)), signal);
    }
  }
}

function mayRepeat(error: unknown, repeatable: boolean, { retryAnyError, retryableErrors }: Retries): boolean {
  if (hadNoEffect(error)) return true;
  if (!repeatable) return false;
  if (error instanceof GatewayError) return error.code === 'timed-out';
  // The connection broke, or the answer was cut off.
  if (!(error instanceof ApiError)) return true;
  if (error.status < 500) return false;
  const text = messageOf(error).toLowerCase();
  return retryAnyError || error.status >= 502 || retryableErrors.some((part) => text.includes(part.toLowerCase()));
}

/** Refused before anything was done: too many requests, or nobody there to connect to. */
function hadNoEffect(error: unknown): boolean {
  if (error instanceof ApiError)
    return error.status === 429 || (error.status === 503 && error.retryAfterMs !== undefined);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return ['ECONNREFUSED', 'UND_ERR_CONNECT_TIMEOUT', 'ENOTFOUND', 'EAI_AGAIN'].includes(code);
}
