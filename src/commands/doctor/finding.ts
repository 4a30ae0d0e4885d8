/** What a check says, and how one is run: with a deadline, and never throwing. */

import { GatewayError, messageOf } from '../../core/errors.js';
import { unlessAborted, withDeadline } from '../../core/deadline.js';

export interface Finding {
  /** What was looked at: `sql`, `sql version`, `port 9091`. */
  readonly check: string;
  readonly status: 'ok' | 'warning' | 'failed';
  /** What was found, in one sentence. */
  readonly found: string;
  /** What to do about it, when it is not ok; may have several lines. */
  readonly remedy?: string;
}

export type CheckOutcome = Omit<Finding, 'check'>;

export const ok = (found: string): CheckOutcome => ({ status: 'ok', found });
export const warning = (found: string, remedy: string): CheckOutcome => ({ status: 'warning', found, remedy });
export const failed = (found: string, remedy: string): CheckOutcome => ({ status: 'failed', found, remedy });

/** How long one check may take, in ms. */
export const checkTimeoutMs = 10_000;

/**
 * Runs one check; what it throws becomes a failure with `remedy`.
 * @throws only the reason of `signal`, when that aborts: then nothing is worth saying any more
 */
export async function examine(
  check: string,
  remedy: string,
  signal: AbortSignal,
  task: (signal: AbortSignal) => Promise<CheckOutcome>,
): Promise<Finding> {
  try {
    const outcome = await withDeadline(checkTimeoutMs, signal, 'this check', (limit) =>
      unlessAborted(task(limit), limit),
    );
    return { check, ...outcome };
  } catch (error) {
    signal.throwIfAborted();
    return { check, ...failed(reasonOf(error), remedy) };
  }
}

/** The store hides what a server answered in the cause; here it is the point, and our statements hold no secrets. */
function reasonOf(error: unknown): string {
  const hidden = error instanceof GatewayError && error.code === 'internal' && error.cause !== undefined;
  return messageOf(hidden ? error.cause : error).split('\n', 1)[0] ?? '';
}
