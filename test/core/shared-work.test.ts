/** Work that is done once for many. */

import { test } from 'tap';
import { SharedWork } from '../../src/core/shared-work.js';

function begin() {
  const begun: { resolve: (value: string) => void; reject: (error: Error) => void; signal: AbortSignal }[] = [];
  const task = (signal: AbortSignal): Promise<string> =>
    new Promise((resolve, reject) => begun.push({ resolve, reject, signal }));
  return { begun, task, shared: new SharedWork<string>() };
}
const never = new AbortController().signal;

test('it is done once for all who wait, and anew for who comes later', async (t) => {
  const { begun, task, shared } = begin();
  const waiting = [shared.run(never, task), shared.run(never, task)];
  t.equal(begun.length, 1);
  begun[0]?.resolve('one');
  t.strictSame(await Promise.all(waiting), ['one', 'one']);
  const next = shared.run(never, task);
  begun[1]?.reject(new Error('it failed'));
  await t.rejects(next, { message: 'it failed' });
});

test('who leaves harms nobody; the last one ends it', async (t) => {
  const { begun, task, shared } = begin();
  const [first, second] = [new AbortController(), new AbortController()];
  const waiting = [shared.run(first.signal, task), shared.run(second.signal, task)];
  first.abort(new Error('first'));
  await t.rejects(waiting[0] as Promise<string>, { message: 'first' });
  t.equal(begun[0]?.signal.aborted, false);
  second.abort(new Error('second'));
  await t.rejects(waiting[1] as Promise<string>, { message: 'second' });
  t.match(begun[0]?.signal, { aborted: true, reason: { message: 'second' } });
  const next = shared.run(never, task);
  t.equal(begun.length, 2, 'what was given up is not joined');
  begun[1]?.resolve('two');
  t.equal(await next, 'two');
});
