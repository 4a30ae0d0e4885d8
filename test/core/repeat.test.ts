/** Background work goes on whatever a task throws, and ends with the signal. */

import { test } from 'tap';
import { repeat } from '../../src/core/repeat.js';
import { waitFor } from '../wait.js';

test('a pause, a task, and again, whatever the task throws', async (t) => {
  const stop = new AbortController();
  const failures: unknown[] = [];
  let pauses = 0;
  let runs = 0;
  const pauseMs = (): number => {
    pauses += 1;
    return 1;
  };
  const running = repeat({ pauseMs, failed: (error) => failures.push(error) }, stop.signal, async () => {
    runs += 1;
    if (runs === 2) throw new Error('once');
  });
  t.equal(runs, 0, 'the pause comes first');
  await waitFor(() => runs >= 4);
  stop.abort();
  await running;
  t.match(failures, [{ message: 'once' }]);
  t.ok(pauses >= runs, 'asked anew for each');
});

test('what a task throws because of the signal is told to nobody, and a long pause ends with it', async (t) => {
  const stop = new AbortController();
  const failures: unknown[] = [];
  const failed = (error: unknown): void => void failures.push(error);
  await repeat({ pauseMs: () => 0, failed }, stop.signal, async () => {
    stop.abort();
    throw new Error('aborted');
  });
  t.same(failures, []);
  const pausing = new AbortController();
  const running = repeat({ pauseMs: () => 60_000, failed }, pausing.signal, () => Promise.resolve());
  pausing.abort();
  await running;
});
