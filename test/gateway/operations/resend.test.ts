/** Sending what is stored and unfinished once more: what is sent, what waits, and what is taken over. */

import { test, type Test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { Resend } from '../../../src/gateway/operations/resend.js';
import { finished, operation } from '../../store/fixtures.js';
import { here, ids, setUpEntry } from './doubles/entry.js';

const [id, otherId, thirdId] = ids;
const gone = new GatewayError('no-agent', 'its agent has gone');

function setUp(t: Test) {
  const entry = setUpEntry(t);
  const { store, router, routing, metrics, logger } = entry;
  const shared = { instanceId: here, operations: store, router, routing, metrics, logger };
  return { ...entry, resend: new Resend({ ...shared, stopping: routing.stopping }) };
}

test('every change under way is sent once more; reading ones, which nobody stored, are not', async (t) => {
  const { resend, submit, routing, metrics } = setUp(t);
  const changes = [await submit(), await submit({ account: 'other' })];
  await submit({ type: 'list' });
  routing.given.length = 0;
  t.same(await resend.run(), { operations: 2, sent: 2, waiting: 0 });
  t.same(routing.given.map((given) => given.id).toSorted(), changes.map((change) => change.id).toSorted());
  t.equal((await metrics.resent.get()).values[0]?.value, 2);
});

test('those whose agent is not connected wait', async (t) => {
  const { resend, submit, routing, router } = setUp(t);
  await submit();
  routing.refusal = gone;
  t.same(await resend.run(), { operations: 1, sent: 0, waiting: 1 });
  t.equal(router.pendingCount, 1);
});

test('one that is on its way already is not sent beside it', async (t) => {
  const { resend, submit, routing } = setUp(t);
  routing.gate = new Promise(() => undefined);
  void submit({ id });
  while (routing.given.length === 0) await new Promise(setImmediate);
  t.same(await resend.run(), { operations: 1, sent: 1, waiting: 0 });
  t.equal(routing.given.length, 1);
});

test('what this instance stored and forgot is taken over, unless its time is over or it has ended meanwhile', async (t) => {
  const { resend, routing, router, store } = setUp(t);
  const own = { receivedByInstanceId: here };
  for (const forgotten of [id, otherId]) store.store(operation(forgotten, own));
  store.store(operation(thirdId, own), 0);
  store.store(operation('of-another-instance'));
  const unfinished = store.unfinished.bind(store);
  store.unfinished = async (filter) => {
    const page = await unfinished(filter);
    // It ends after the page was read.
    await store.finish([finished(otherId)]);
    return page;
  };
  t.same(await resend.run(), { operations: 1, sent: 0, waiting: 1 });
  t.same(
    routing.given.map((given) => given.id),
    [id],
  );
  t.equal(router.originated(id)?.receivedByInstanceId, here);
});

test('all pages of what was forgotten are read', async (t) => {
  const { resend, router, store } = setUp(t);
  for (let index = 0; index < 60; index += 1)
    store.store(operation(`operation-${String(index).padStart(2, '0')}`, { receivedByInstanceId: here }));
  t.match(await resend.run(), { operations: 60 });
  t.equal(router.pendingCount, 60);
});

test('who asks while it runs gets the same report; who asks later, another run', async (t) => {
  const { resend, submit, routing } = setUp(t);
  await submit();
  const [first, second] = await Promise.all([resend.run(), resend.run()]);
  t.equal(first, second);
  t.equal(routing.given.length, 2);
  t.not(await resend.run(), first);
  t.equal(routing.given.length, 3);
});

test('without the database it fails, and the next one runs', async (t) => {
  const { resend, store } = setUp(t);
  store.failure = new GatewayError('dependency-unavailable', 'SQL is away');
  await t.rejects(resend.run(), { code: 'dependency-unavailable' });
  store.failure = undefined;
  t.same(await resend.run(), { operations: 0, sent: 0, waiting: 0 });
});
