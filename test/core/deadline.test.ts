/** Deadlines fire, follow their parent, and leave nothing behind on it. */

import { getEventListeners } from 'node:events';
import { test } from 'tap';
import { unlessAborted, withDeadline } from '../../src/core/deadline.js';

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
});
