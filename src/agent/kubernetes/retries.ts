/**
 * When a request to the API server is sent again. A request that cannot have taken effect always may be (it did not
 * connect, or the server said 429 or "not now"); one that may have, only if sending it twice has the same effect as
 * once.
 */

import { connectionFailure } from '../../core/connection-failure.js';
import { GatewayError } from '../../core/errors.js';
import { backoffMs, wait } from '../../core/retry.js';
import { ApiError } from '../../kubernetes/client.js';

/** Armory's `kubernetes.retries.*`. */
export interface Retries {
  readonly enabled: boolean;
  readonly maxRetries: number;
  readonly backOffMs: number;
  /** Every failure is retried, except refusals of the request (4xx). */
  readonly retryAnyError: boolean;
  /** Temporary failures of 500 and above, by Kubernetes' reason ("ServerTimeout") or status ("500"). */
  readonly retryableErrors: readonly string[];
}

export const defaultRetries: Retries = {
  enabled: true,
  maxRetries: 3,
  backOffMs: 3_000,
  retryAnyError: false,
  retryableErrors: ['timeout', 'deadline exceeded'],
};

/** The longest Retry-After that is followed, in ms. */
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
  // The answer was late or cut off.
  if (error instanceof GatewayError) return error.code === 'timed-out' || error.code === 'dependency-unavailable';
  if (!(error instanceof ApiError)) return connectionFailure(error) !== undefined;
  if (error.status < 500) return false;
  return retryAnyError || error.status >= 502 || retryableErrors.some((each) => names(each, error));
}

/** Refused before anything was done: too many requests, or no connection. */
function hadNoEffect(error: unknown): boolean {
  if (error instanceof ApiError)
    return error.status === 429 || (error.status === 503 && error.retryAfterMs !== undefined);
  return connectionFailure(error)?.unsent === true;
}

/** The error names of Armory's documentation, and Kubernetes' names for them (apimachinery, StatusReason). */
const timeouts = ['Timeout', 'ServerTimeout'];
const known: ReadonlyMap<string, readonly string[]> = new Map([
  ['timeout', timeouts],
  ['deadlineexceeded', timeouts],
  ...['ServerTimeout', 'InternalError', 'ServiceUnavailable', 'Unknown'].map((reason): [string, string[]] => [
    reason.toLowerCase(),
    [reason],
  ]),
]);

/** Messages are not matched: their words may be the names of objects and fields. */
function names(entry: string, { status, reason }: ApiError): boolean {
  return entry.trim() === String(status) || known.get(keyOf(entry))?.includes(reason) === true;
}

/**
 * The entries of `kubernetes.retries.retryableErrors` that name neither a status nor a reason, and so have no effect.
 */
export function withoutEffect(retryableErrors: readonly string[]): readonly string[] {
  return retryableErrors.filter((entry) => !/^\s*5\d\d\s*$/u.test(entry) && !known.has(keyOf(entry)));
}

function keyOf(entry: string): string {
  return entry.toLowerCase().replaceAll(/[\s_-]/gu, '');
}
