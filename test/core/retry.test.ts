/** Waits end with their signal; retries have a limit, backoff and jitter. */

import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { test } from 'tap';
import { backoffMs, defaultBackoff, jittered, retry, wait } from '../../src/core/retry.js';

const quick = { initialMs: 1, maximumMs: 2, multiplier: 1, jitter: 0 };
const open = new AbortController().signal;

test('backoff grows to its maximum and stays within its jitter', (t) => {
  const backoff = { initialMs: 100, maximumMs: 1_000, multiplier: 2, jitter: 0.2 };
  const middle = (attempt: number): number => backoffMs(backoff, attempt, () => 0.5);
  t.same([0, 1, 2, 3, 4, 1e9].map(middle), [100, 200, 400, 800, 1_000, 1_000]);
  t.equal(
    backoffMs(backoff, 0, () => 0),
    80,
  );
  t.equal(
    backoffMs(backoff, 0, () => 1),
    120,
  );
  const random = fc.double({ min: 0, max: 1, noNaN: true });
  const property = fc.property(fc.nat(), random, (attempt, value) => {
    const ms = backoffMs(defaultBackoff, attempt, () => value);
    return ms >= defaultBackoff.initialMs * 0.8 - 1 && ms <= defaultBackoff.maximumMs * 1.2 + 1;
  });
  t.doesNotThrow(() => fc.assert(property));
  t.end();
});

test('jitter goes as far to both sides as it says', async (t) => {
  const at = (value: number): number => jittered(1_000, 0.25, () => value);
  t.same([0, 0.5, 1].map(at), [750, 1_000, 1_250]);
  t.equal(jittered(1_000, 0), 1_000);
});

test('a wait ends at its time, or with the reason of its signal', async (t) => {
  await wait(1, open);
  const controller = new AbortController();
  const waiting = wait(60_000, controller.signal);
  const reason = new Error('enough');
  controller.abort(reason);
  await t.rejects(waiting, reason);
  await t.rejects(wait(1, controller.signal), reason, 'at once when it has aborted already');
});

test('many may wait on one signal, and leave nothing on it', async (t) => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  t.teardown(() => process.off('warning', onWarning));
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 50 }, () => wait(1, signal)));
  await new Promise(setImmediate);
  t.same(warnings, []);
  t.equal(getEventListeners(signal, 'abort').length, 0);
});

test('retries until it succeeds, says so, and gives up at its limit', async (t) => {
  const failures: unknown[] = [];
  const options = { signal: open, attempts: 3, backoff: quick };
  const value = await retry(
    (attempt) => (attempt < 2 ? Promise.reject(new Error(`${attempt}`)) : Promise.resolve(attempt)),
    {
      ...options,
      onRetry: (error, attempt, waitMs) => failures.push([(error as Error).message, attempt, waitMs]),
    },
  );
  t.equal(value, 2);
  t.same(failures, [
    ['0', 1, 1],
    ['1', 2, 1],
  ]);
  let attempts = 0;
  const failing = (): Promise<never> => Promise.reject(new Error(`${(attempts += 1)}`));
  await t.rejects(retry(failing, options), { message: '3' }, 'the last failure');
  attempts = 0;
  await t.rejects(retry(failing, { ...options, retryable: () => false }), { message: '1' });
});

test('a retry ends with its signal, between attempts and before the first one', async (t) => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const options = {
    signal: controller.signal,
    attempts: 100,
    backoff: { ...quick, initialMs: 60_000, maximumMs: 60_000 },
  };
  const running = retry(() => Promise.reject(new Error('again')), {
    ...options,
    onRetry: () => controller.abort(reason),
  });
  await t.rejects(running, reason);
  await t.rejects(
    retry(() => Promise.resolve(t.fail('not to be called')), options),
    reason,
  );
});
