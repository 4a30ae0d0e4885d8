/** Deadlines that leave nothing behind: AbortSignal.any() on a signal that lives long leaks in Node 20 (node#54614). */

import { GatewayError } from './errors.js';

/**
 * Runs `task` with a signal that aborts when `parent` does, and with a GatewayError `timed-out` after `ms`.
 * @param what how the message names it: "<what> took longer than ... ms"
 */
export async function withDeadline<T>(
  ms: number,
  parent: AbortSignal,
  what: string,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  parent.throwIfAborted();
  const controller = new AbortController();
  const follow = (): void => controller.abort(parent.reason);
  parent.addEventListener('abort', follow, { once: true });
  const timer = setTimeout(() => {
    controller.abort(new GatewayError('timed-out', `${what} took longer than ${String(ms)} ms`));
  }, ms);
  try {
    return await task(controller.signal);
  } finally {
    clearTimeout(timer);
    parent.removeEventListener('abort', follow);
  }
}

/**
 * Settles as `promise` does, or rejects with the signal's reason when that comes first, or has come already: what the
 * promise does later is ignored. Without a signal it is the promise itself.
 */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/**
 * The value of the promise, or undefined if `ms` pass first; a later outcome is ignored. Rejects as the promise does.
 */
export function unlessLate<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms, undefined);
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}

/** Gives the promise's outcome, or fails after `ms`; what the promise does later is ignored. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what} took longer than ${ms} ms`));
    }, ms);
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves when the signal aborts, at once if it has. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
