/** Background work: repeats a task, with a pause before each run, until the gateway stops. */

import { wait } from './retry.js';

export interface Repetition {
  /** Called for each pause, in ms: vary it, so that replicas do not run the task at the same moment. */
  readonly pauseMs: () => number;
  /** Called with the error of a task, unless the signal has aborted; the next run follows all the same. */
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
