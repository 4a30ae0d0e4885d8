/** Releases run last in, first out, all of them, whatever fails. */

import { test } from 'tap';
import { ReleaseStack } from '../../src/core/release-stack.js';

test('last in, first out, one after the other', async (t) => {
  const scope = new ReleaseStack();
  const order: string[] = [];
  for (const name of ['first', 'second', 'third']) {
    scope.push(name, async () => {
      order.push(`${name} begins`);
      await new Promise(setImmediate);
      order.push(`${name} ends`);
    });
  }
  const closing = scope.close();
  t.equal(scope.close(), closing, 'closing again gives the same promise');
  await closing;
  t.same(
    order,
    ['third', 'second', 'first'].flatMap((name) => [`${name} begins`, `${name} ends`]),
  );
});

test('a release that fails keeps none of the others from running; the first failure is thrown', async (t) => {
  const scope = new ReleaseStack();
  const order: string[] = [];
  const cause = new Error('two is stuck');
  scope.push('one', () => void order.push('one'));
  scope.push('two', () => {
    order.push('two');
    throw cause;
  });
  scope.push('three', () => Promise.reject(new Error('three is stuck')));
  scope.push('four', () => void order.push('four'));
  await t.rejects(scope.close(), { message: 'three: three is stuck' });
  t.same(order, ['four', 'two', 'one']);
});

test('what is pushed while it closes, or later, is released as well', async (t) => {
  const scope = new ReleaseStack();
  const order: string[] = [];
  scope.push('early', () => {
    order.push('early');
    scope.push('meanwhile', () => void order.push('meanwhile'));
  });
  await scope.close();
  scope.push('late', () => void order.push('late'));
  await scope.close();
  t.same(order, ['early', 'meanwhile', 'late']);
});

test('what is pushed late is released also when closing has failed', async (t) => {
  const scope = new ReleaseStack();
  scope.push('stuck', () => Promise.reject(new Error('stuck')));
  await t.rejects(scope.close(), { message: 'stuck: stuck' });
  let released = false;
  scope.push('late', () => void (released = true));
  await new Promise(setImmediate);
  t.ok(released);
  await t.rejects(scope.close(), { message: 'stuck: stuck' }, 'the failure stays known');
});
