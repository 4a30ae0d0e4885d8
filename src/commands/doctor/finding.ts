/** The result of a check, and how a check is run: with a deadline, and without throwing. */

import { GatewayError, messageOf } from '../../core/errors.js';
import { unlessAborted, withDeadline } from '../../core/deadline.js';

export interface Finding {
  /** The subject of the check: `sql`, `sql version`, `port 9091`. */
  readonly check: string;
  readonly status: 'ok' | 'warning' | 'failed';
  /** The finding, in one sentence. */
  readonly found: string;
  /** The remedy, if it is not ok; may have several lines. */
  readonly remedy?: string;
}

export type CheckOutcome = Omit<Finding, 'check'>;

export const ok = (found: string): CheckOutcome => ({ status: 'ok', found });
export const warning = (found: string, remedy: string): CheckOutcome => ({ status: 'warning', found, remedy });
export const failed = (found: string, remedy: string): CheckOutcome => ({ status: 'failed', found, remedy });

/** How long one check may take, in ms. */
export const checkTimeoutMs = 10_000;

/**
 * Runs one check; an error becomes a failure with `remedy`.
 * @throws only the reason of `signal`, if that aborts: then no finding matters any longer
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

/** The store hides the server's answer in the cause; here it is needed, and our statements contain no secrets. */
function reasonOf(error: unknown): string {
  const hidden = error instanceof GatewayError && error.code === 'internal' && error.cause !== undefined;
  return messageOf(hidden ? error.cause : error).split('\n', 1)[0] ?? '';
}
