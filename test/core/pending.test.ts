/** One exit: whoever takes an entry settles it, and nothing stays behind. */

import fc from 'fast-check';
import { test } from 'tap';
import { GatewayError } from '../../src/core/errors.js';
import { Pending, type TakenEntry } from '../../src/core/pending.js';

const never = (): void => undefined;
const hour = 3_600_000;

test('a result settles what was added, once', async (t) => {
  const pending = new Pending<string, number>({ entries: 10 });
  const promise = pending.add('a', 7, hour, never);
  t.equal(pending.promise('a'), promise);
  t.equal(pending.context('a'), 7);
  const taken = pending.take('a');
  t.equal(taken?.context, 7);
  t.equal(pending.take('a'), undefined, 'nobody else gets it');
  t.equal(pending.size, 0);
  t.equal(pending.context('a'), undefined);
  t.equal(pending.promise('a'), undefined);
  taken?.resolve('done');
  taken?.reject(new GatewayError('cancelled', 'too late'));
  t.equal(await promise, 'done');
});

test('at the deadline the entry is taken and handed over', async (t) => {
  const pending = new Pending<string, string>({ entries: 10 });
  const outcome = pending.add('a', 'context', 5, (taken) => {
    t.equal(pending.size, 0);
    t.equal(taken.context, 'context');
    taken.reject(new GatewayError('timed-out', 'too late'));
  });
  await t.rejects(outcome, { code: 'timed-out' });
  t.equal(pending.take('a'), undefined);
});

test('what was taken in time has no deadline any more', async (t) => {
  const pending = new Pending<string, string>({ entries: 10 });
  const timedOut: TakenEntry<string, string>[] = [];
  void pending.add('a', '', 5, (taken) => timedOut.push(taken));
  pending.take('a')?.resolve('');
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.same(timedOut, []);
});

test('a rejection that nobody looks at is no unhandled one', async (t) => {
  const pending = new Pending<string, string>({ entries: 10 });
  void pending.add('a', '', hour, never);
  pending.take('a')?.reject(new GatewayError('cancelled', 'nobody cares'));
  await new Promise(setImmediate);
  t.pass();
});

test('it is bounded, and an id is waited for once', (t) => {
  const pending = new Pending<string, string>({ entries: 2 });
  void pending.add('a', '', hour, never);
  t.throws(() => pending.add('a', '', hour, never), { code: 'operation-conflict', details: { operationId: 'a' } });
  void pending.add('b', '', hour, never);
  const overloaded = { code: 'overloaded', details: { operationId: 'c', retryAfterMs: 1_000 } };
  t.throws(() => pending.add('c', '', hour, never), overloaded);
  pending.take('a');
  void pending.add('c', '', hour, never);
  t.same(pending.ids(), ['b', 'c']);
  for (const id of pending.ids()) pending.take(id);
  t.end();
});

test('in any order of adding and taking it holds what was added and not taken', (t) => {
  const id = fc.constantFrom('a', 'b', 'c', 'd');
  const steps = fc.array(fc.tuple(fc.boolean(), id), { maxLength: 50 });
  const property = fc.property(steps, (sequence) => {
    const pending = new Pending<string, string>({ entries: 3 });
    const model = new Set<string>();
    let right = true;
    for (const [add, name] of sequence) {
      if (!add) right &&= (pending.take(name) !== undefined) === model.delete(name);
      else {
        const allowed = !model.has(name) && model.size < 3;
        try {
          void pending.add(name, name, hour, never);
          right &&= allowed;
          model.add(name);
        } catch {
          right &&= !allowed;
        }
      }
      right &&= pending.size === model.size && pending.ids().every((held) => model.has(held));
    }
    for (const held of pending.ids()) pending.take(held);
    return right;
  });
  t.doesNotThrow(() => fc.assert(property));
  t.end();
});

test('bytes are bounded, but for a single entry of any size', (t) => {
  const pending = new Pending<string, string>({ entries: 10, bytes: 100 });
  void pending.add('large', '', hour, never, 1_000);
  t.throws(() => pending.add('b', '', hour, never, 1), {
    ...{ code: 'overloaded', message: 'operations of 1000 bytes are under way on this instance; try again later' },
    details: { operationId: 'b', retryAfterMs: 1_000 },
  });
  pending.take('large');
  void pending.add('b', '', hour, never, 60);
  void pending.add('c', '', hour, never, 40);
  t.throws(() => pending.add('d', '', hour, never, 1), { code: 'overloaded' });
  pending.take('b');
  void pending.add('d', '', hour, never, 60);
  pending.take('c');
  pending.take('d');
  t.end();
});
