/** What becomes of an operation whose agent or owner went away: sent again, ended as lost, or waited for. */

import { test, type Test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { Recovery } from '../../../src/gateway/operations/recovery.js';
import type { Assignment } from '../../../src/store/assignments/ownership.js';
import { fakeTime } from '../../fake-time.js';
import { setUpEntry } from './doubles/entry.js';

const checkMs = 5_000;
const agent: Assignment = { agentId: 'agent', instanceId: 'there', epoch: 1, processId: 'process', caching: true };
const gone = new GatewayError('no-agent', 'nobody serves it');

function setUp(t: Test) {
  const entry = setUpEntry(t);
  const { router, routing, ownership, logger, metrics, map, truth } = entry;
  routing.owner = agent;
  const recovery = new Recovery({ router, routing, ownership, logger, metrics, checkMs });
  recovery.start();
  t.teardown(() => recovery.stop());
  let version = 0;
  /** Every replica hears that these serve the account from now on. */
  const owned = (...assignments: readonly Assignment[]): void => {
    version += 1;
    map.set({ account: 'prod', version, assignments });
  };
  owned(agent);
  /** How often what was submitted has been sent. */
  const sent = (): number => routing.given.length;
  const resent = async () => (await metrics.resent.get()).values[0]?.value;
  return { ...entry, recovery, owned, sent, resent, truth };
}

test('the process that has the operation is back on another stream: it gets it again, once', async (t) => {
  const { submit, owned, sent, resent, router } = setUp(t);
  const { id } = await submit();
  const back = { ...agent, instanceId: 'elsewhere', epoch: 2 };
  owned(back);
  t.equal(sent(), 2);
  t.equal(await resent(), 1);
  router.originated(id)!.taken = { ...back, processedTime: 1, sentTime: 2 };
  owned(back, { ...agent, agentId: 'other', epoch: 3 });
  t.equal(sent(), 2, 'its stream holds it');
});

test('another process of the agent in its place must not do it a second time: it ends as agent lost', async (t) => {
  const { submit, owned, sent, store, recorder } = setUp(t);
  const { id, result } = await submit();
  owned({ ...agent, epoch: 2, processId: 'rival' });
  await t.rejects(result, {
    code: 'agent-lost',
    message: /another process of agent agent replaced .* may have been executed/u,
  });
  await recorder.idle();
  t.match(store.ended.get(id), { finalOutcome: 'agent lost' });
  t.equal(sent(), 1);
});

test('where nobody can tell whose process it is, or only an older one is heard of, it is waited for', async (t) => {
  const { submit, owned, sent, router } = setUp(t);
  await submit();
  const { processId: _, ...unnamed } = agent;
  owned({ ...unnamed, epoch: 2 });
  owned({ ...agent, epoch: 0, processId: 'older' });
  t.same([sent(), router.pendingCount], [1, 1]);
});

test('an agent that is gone may come back: a change waits for it', async (t) => {
  const { submit, owned, sent, router } = setUp(t);
  await submit();
  owned();
  owned({ ...agent, agentId: 'other', epoch: 2 });
  t.same([sent(), router.pendingCount], [1, 1]);
});

test('a change that cannot be sent again yet stays waited for', async (t) => {
  const { submit, owned, router, routing } = setUp(t);
  await submit();
  routing.refusal = gone;
  owned({ ...agent, epoch: 2 });
  await new Promise(setImmediate);
  t.equal(router.pendingCount, 1);
});

test('a reading operation goes to any other agent; without one it ends as agent lost', async (t) => {
  const { submit, owned, sent, routing } = setUp(t);
  const { result } = await submit({ type: 'list' });
  owned({ ...agent, agentId: 'other', epoch: 2 });
  t.equal(sent(), 2);
  await new Promise(setImmediate);
  routing.refusal = gone;
  owned();
  await t.rejects(result, { code: 'agent-lost', details: { retryAfterMs: 1_000 } });
});

test('one that is being sent is left alone, and so is what other accounts have under way', async (t) => {
  const { submit, owned, sent, routing } = setUp(t);
  await submit({ account: 'other' });
  await submit();
  routing.gate = new Promise(() => undefined);
  owned({ ...agent, epoch: 2 });
  t.equal(sent(), 3);
  owned({ ...agent, epoch: 3 });
  t.equal(sent(), 3);
});

test('without news the truth is read for operations that take long, and only for them', async (t) => {
  const time = fakeTime(t);
  const { submit, recovery, sent, truth, routing } = setUp(t);
  await submit();
  await time.pass(2_000);
  const running = recovery.run(routing.stopping);
  await submit({ account: 'young' });
  const back = { ...agent, epoch: 2 };
  truth.accounts.set('prod', { account: 'prod', version: 9, assignments: [back] });
  routing.owner = back;
  await time.pass(checkMs);
  t.same(truth.finds, [['prod']]);
  t.equal(sent(), 3, 'the change that nobody told is followed');
  routing.stop(new GatewayError('draining', 'bye'));
  await running;
});

test('a truth that cannot be read is read again at the next check', async (t) => {
  const time = fakeTime(t);
  const { submit, recovery, truth, routing } = setUp(t);
  await submit();
  await time.pass(100);
  const running = recovery.run(routing.stopping);
  truth.failure = new GatewayError('dependency-unavailable', 'SQL is away');
  await time.pass(checkMs * 2);
  t.equal(truth.finds.length, 2);
  routing.stop(new GatewayError('draining', 'bye'));
  await running;
});

test('one that has stopped follows nothing', async (t) => {
  const { submit, owned, sent, recovery } = setUp(t);
  await submit();
  recovery.stop();
  owned({ ...agent, epoch: 2 });
  t.equal(sent(), 1);
});
