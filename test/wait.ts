/** Waiting in tests: for a condition, never for a time. */

import { setTimeout as delay } from 'node:timers/promises';

export interface WaitForOptions {
  /** Deadline in ms; default 60,000: it costs nothing where the condition comes, and machines are slow at times. */
  readonly timeoutMs?: number;
  /** Pause between two looks, in ms; default 10. */
  readonly intervalMs?: number;
  /** What is waited for, as it reads after "timed out waiting for"; default: the condition's own text. */
  readonly description?: string;
}

/**
 * Polls until `condition` gives something other than false, null or undefined, and returns that.
 * A condition that throws counts as "not yet"; its last error is the cause of the failure.
 * @throws Error at the deadline, naming the description and the caller's line; also when one look itself takes longer
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitForOptions = {},
): Promise<Exclude<T, false | null | undefined>> {
  const { timeoutMs = 60_000, intervalMs = 10, description = textOf(condition) } = options;
  // Made here, so that its stack has the caller's line.
  const failure = new Error(`timed out after ${timeoutMs} ms waiting for ${description}`);
  let lastError: unknown;
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      if (lastError !== undefined) failure.cause = lastError;
      reject(failure);
    }, timeoutMs);
  });
  const look = async (): Promise<T | undefined> => {
    try {
      return await condition();
    } catch (error) {
      lastError = error;
      return undefined;
    }
  };
  try {
    for (;;) {
      const value = await Promise.race([look(), expired]);
      if (value !== false && value !== null && value !== undefined)
        return value as Exclude<T, false | null | undefined>;
      await Promise.race([delay(intervalMs), expired]);
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Every condition has a name, also where nobody gave it one. */
function textOf(condition: () => unknown): string {
  return condition
    .toString()
    .replace(/^(async ?)?\(\) ?=> ?/u, '')
    .replace(/\s+/gu, ' ')
    .slice(0, 300);
}
