/** Time that passes when a test says so: for deadlines, pauses and backoffs that would take seconds. */

import { syncBuiltinESMExports } from 'node:module';
import { mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Test } from 'tap';

export interface FakeTime {
  /** Lets time pass: timers that are due come one after the other, and what they lead to happens. */
  pass(ms: number): Promise<void>;
  /** Lets happen what waits for no time. */
  settle(): Promise<void>;
}

/** Timers that are due within the same step of so many ms come at once. */
const stepMs = 50;
/** Work that follows on work: group commits and promises take a few turns of the event loop. */
const turns = 8;

/**
 * Holds `setTimeout`, global and of node:timers/promises, and `performance.now()` until the test ends. What else tells the time
 * (`Date`, AbortSignal.timeout(), sockets) goes on, so a test that uses the network does not use this.
 */
export function fakeTime(t: Test): FakeTime {
  mock.timers.enable({ apis: ['setTimeout'] });
  // Whole, so that deadlines are exact: of fractions, a sum and its difference differ.
  let now = Math.ceil(performance.now());
  const clock = mock.method(performance, 'now', () => now);
  // Imports by name see the held timers only then.
  syncBuiltinESMExports();
  t.teardown(() => {
    mock.timers.reset();
    clock.mock.restore();
    syncBuiltinESMExports();
  });
  const settle = async (): Promise<void> => {
    for (let count = 0; count < turns; count += 1) await turn();
  };
  return {
    settle,
    async pass(ms) {
      await settle();
      for (let left = ms; left > 0; left -= stepMs) {
        const step = Math.min(stepMs, left);
        now += step;
        mock.timers.tick(step);
        await settle();
      }
    },
  };
}
