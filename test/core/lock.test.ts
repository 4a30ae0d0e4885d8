/** Work under a lock: the lock is renewed while it runs, the work ends when the lock is lost, and nothing is left behind. */

import { getEventListeners } from 'node:events';
import { test, type Test } from 'tap';
import { aborted } from '../../src/core/deadline.js';
import { withLock, type ExpiringLocks } from '../../src/core/lock.js';
import { waitFor } from '../wait.js';

/** Locks that say yes; counts what was asked. */
function double(answers: Partial<ExpiringLocks> = {}) {
  const asked = { acquire: 0, renew: 0, release: 0 };
  const locks: ExpiringLocks = {
    acquire: async (...args) => ((asked.acquire += 1), (await answers.acquire?.(...args)) ?? true),
    renew: async (...args) => ((asked.renew += 1), (await answers.renew?.(...args)) ?? true),
    release: async (...args) => ((asked.release += 1), (await answers.release?.(...args)) ?? true),
  };
  return { asked, lock: { locks, name: 'purge', holder: 'one', ttlMs: 60_000 } };
}

const never = async (t: Test): Promise<void> => void t.fail('not to be called');

/** Work that ends with its signal only, as a statement does. */
const untilAborted = async (signal: AbortSignal): Promise<never> => {
  await aborted(signal);
  throw signal.reason;
};

test('the work is done once, under a lock that is released', async (t) => {
  const { asked, lock } = double();
  const { signal } = new AbortController();
  const done = await withLock(lock, signal, async (held) => {
    t.notOk(held.aborted);
    t.same(asked, { acquire: 1, renew: 0, release: 0 });
  });
  t.ok(done);
  t.same(asked, { acquire: 1, renew: 0, release: 1 });
  t.equal(getEventListeners(signal, 'abort').length, 0, 'nothing is left on the signal');
});

test('nothing is done while another instance has the lock', async (t) => {
  const { asked, lock } = double({ acquire: async () => false });
  t.notOk(await withLock(lock, new AbortController().signal, () => never(t)));
  t.same(asked, { acquire: 1, renew: 0, release: 0 });
});

test('the lock is renewed for as long as the work runs, and one renewal may fail', async (t) => {
  let failures = 1;
  const { asked, lock } = double({
    renew: async () => {
      if (failures-- > 0) throw new Error('no connection');
      return true;
    },
  });
  const started = performance.now();
  const done = await withLock({ ...lock, ttlMs: 1_000 }, new AbortController().signal, async (held) => {
    await waitFor(() => asked.renew >= 4 && performance.now() - started > 1_000);
    t.notOk(held.aborted);
  });
  t.ok(done);
  t.equal(asked.release, 1);
});

test('the work ends when another instance has taken the lock', async (t) => {
  const { asked, lock } = double({ renew: async () => false });
  t.notOk(await withLock({ ...lock, ttlMs: 300 }, new AbortController().signal, untilAborted));
  t.equal(asked.renew, 1);
});

test('the work ends when no renewal succeeds before the lock expires', async (t) => {
  const failing = async (): Promise<never> => Promise.reject(new Error('no connection'));
  const hanging = (_name: string, _owner: string, _ttlMs: number, signal?: AbortSignal): Promise<never> =>
    untilAborted(signal ?? AbortSignal.abort());
  for (const renew of [failing, hanging]) {
    const { asked, lock } = double({ renew });
    const started = performance.now();
    t.notOk(await withLock({ ...lock, ttlMs: 100 }, new AbortController().signal, untilAborted));
    t.ok(performance.now() - started > 90, 'not before');
    t.ok(asked.renew >= 1);
  }
});

test('the work ends with the signal, and the lock is released all the same', async (t) => {
  const stop = new AbortController();
  const reason = new Error('stopping');
  const released: boolean[] = [];
  const { lock } = double({ release: async (_name, _owner, signal) => released.push(signal?.aborted === false) > 0 });
  await t.rejects(
    withLock(lock, stop.signal, (held) => {
      stop.abort(reason);
      return untilAborted(held);
    }),
    reason,
  );
  t.same(released, [true], 'with a signal of its own');
  await t.rejects(
    withLock(lock, stop.signal, () => never(t)),
    reason,
    'aborted before the work began',
  );
});

test('what the work throws is thrown, and a release that fails is not', async (t) => {
  const { asked, lock } = double({ release: async () => Promise.reject(new Error('no connection')) });
  const { signal } = new AbortController();
  await t.rejects(
    withLock(lock, signal, async () => Promise.reject(new Error('its own'))),
    { message: 'its own' },
  );
  t.ok(await withLock(lock, signal, async () => undefined));
  t.equal(asked.release, 2);
});

test('a lock that is kept expires by itself', async (t) => {
  const { asked, lock } = double();
  t.ok(await withLock({ ...lock, keep: true }, new AbortController().signal, async () => undefined));
  t.equal(asked.release, 0);
});

test('the work can ask whether the lock is still held, before its signal aborts', async (t) => {
  const { lock } = double();
  const { signal } = new AbortController();
  await withLock({ ...lock, ttlMs: 50 }, signal, (held, isHeld) => {
    t.ok(isHeld());
    // As a process that was frozen: no timer has run yet.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
    t.notOk(held.aborted);
    t.notOk(isHeld(), 'the time of the lock is over');
    return Promise.resolve();
  });
});
