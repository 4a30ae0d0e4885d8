/** Background work: the same again and again, with a pause in front of each, until the gateway stops. */

import { wait } from './retry.js';

export interface Repetition {
  /** Asked anew for each pause, in ms: spread it, so that replicas do not look at the same moment. */
  readonly pauseMs: () => number;
  /** Told what a task threw, unless the signal has aborted; the next one follows all the same. */
  readonly failed: (error: unknown) => void;
}

/** Runs until the signal aborts; never rejects. */
export async function repeat(
  { pauseMs, failed }: Repetition,
  signal: AbortSignal,
  task: () => Promise<void>,
): Promise<void> {
  for (;;) {
    await wait(pauseMs(), signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      await task();
    } catch (error) {
      if (!signal.aborted) failed(error);
    }
  }
}
