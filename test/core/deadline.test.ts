/** Deadlines fire, follow their parent, and leave nothing behind on it. */

import { getEventListeners } from 'node:events';
import { test } from 'tap';
import { unlessLate, unlessAborted, withDeadline } from '../../src/core/deadline.js';

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });

test('withDeadline', async (t) => {
  const parent = new AbortController();
  t.equal(await withDeadline(60_000, parent.signal, 'it', () => Promise.resolve(1)), 1);
  await t.rejects(withDeadline(1, parent.signal, 'the write', aborted), {
    code: 'timed-out',
    message: 'the write took longer than 1 ms',
  });
  await t.rejects(
    withDeadline(60_000, parent.signal, 'it', () => Promise.reject(new Error('its own'))),
    /its own/,
  );
  t.equal(getEventListeners(parent.signal, 'abort').length, 0, 'nothing is left on the parent');
  const reason = new Error('stopping');
  const running = withDeadline(60_000, parent.signal, 'it', aborted);
  parent.abort(reason);
  await t.rejects(running, reason);
  await t.rejects(
    withDeadline(60_000, parent.signal, 'it', () => Promise.resolve(t.fail('not to be called'))),
    reason,
  );
});

test('unlessAborted', async (t) => {
  const parent = new AbortController();
  t.equal(await unlessAborted(Promise.resolve(1), parent.signal), 1);
  await t.rejects(unlessAborted(Promise.reject(new Error('its own')), parent.signal), /its own/);
  t.equal(getEventListeners(parent.signal, 'abort').length, 0, 'nothing is left on the signal');
  const reason = new Error('stopping');
  const running = unlessAborted(new Promise(() => undefined), parent.signal);
  parent.abort(reason);
  await t.rejects(running, reason);
  await t.rejects(unlessAborted(Promise.resolve(1), parent.signal), reason);
  const settled = new Promise(setImmediate);
  await t.rejects(unlessAborted(Promise.reject(new Error('nobody hears it')), parent.signal), reason);
  await settled;
  t.equal(getEventListeners(parent.signal, 'abort').length, 0, 'nothing is left on a signal that has aborted');
  t.equal(await unlessAborted(Promise.resolve(1), undefined), 1, 'without a signal');
});

test('unlessLate gives what the promise gives, or undefined when the time is over first', async (t) => {
  t.equal(await unlessLate(Promise.resolve('in time'), 60_000), 'in time');
  t.equal(await unlessLate(new Promise(() => undefined), 1), undefined);
  await t.rejects(unlessLate(Promise.reject(new Error('failed')), 60_000), { message: 'failed' });
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error('nobody hears it')), 5));
  t.equal(await unlessLate(late, 1), undefined);
  await late.catch(() => undefined);
});
