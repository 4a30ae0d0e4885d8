/** What is accepted, what is refused and why, who is waited for, and who is answered. */

import { test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { fakeTime } from '../../fake-time.js';
import { waitFor } from '../../wait.js';
import { operation as stored, finished } from '../../store/fixtures.js';
import { defaultTimeoutMs, here, ids, maxMessageBytes, maxTimeoutMs, setUpEntry } from './doubles/entry.js';

const [id, otherId] = ids;
const answer = Buffer.from('answer');
const silence = new Promise<never>(() => undefined);

test('a draining instance refuses every submission, and ends what is under way', async (t) => {
  const { acceptance, submit } = setUpEntry(t);
  const earlier = await submit();
  acceptance.refuse(new GatewayError('draining', 'shutting down'));
  await t.rejects(submit(), { code: 'draining' });
  acceptance.take(earlier.id)?.resolve(answer);
  t.equal(await earlier.result, answer);
});

test('a malformed submission is refused by the name of its field, before anything is done', async (t) => {
  const { submit, store, routing } = setUpEntry(t);
  await t.rejects(submit({ id: 'mine' }), { code: 'invalid-argument', details: { field: 'operation.id' } });
  await t.rejects(submit({ account: '' }), { code: 'invalid-argument', details: { field: 'operation.account' } });
  await t.rejects(submit({ account: 'a\0' }), { code: 'invalid-argument', details: { field: 'operation.account' } });
  await t.rejects(submit({ type: '' }), { code: 'invalid-argument', details: { field: 'operation' } });
  t.same([store.pending.size, routing.given.length], [0, 0]);
});

test('a full queue refuses with overloaded, before anything is stored or sent; a result makes room', async (t) => {
  const { acceptance, submit, store, routing } = setUpEntry(t, { entries: 2 });
  const first = await submit();
  await submit();
  await t.rejects(submit(), { code: 'overloaded', details: { retryAfterMs: 1_000 } });
  t.same([store.pending.size, routing.given.length, acceptance.pendingCount], [2, 2, 2]);
  acceptance.take(first.id)?.resolve(answer);
  await t.resolves(submit());
});

test('so does a queue with too many bytes, in which a single operation always fits', async (t) => {
  const { submit } = setUpEntry(t, { entries: 10, bytes: 1 });
  await submit();
  await t.rejects(submit(), { code: 'overloaded' });
});

test('an operation that an agent could not read is refused as too large, before it is stored', async (t) => {
  const { submit, store } = setUpEntry(t);
  const large = (bytes: number) => submit({ encode: () => new Uint8Array(bytes) });
  await t.rejects(large(maxMessageBytes - 100), { code: 'too-large' }, 'with what gateways add to it');
  t.equal(store.pending.size, 0);
  await t.resolves(large(maxMessageBytes / 2));
});

test('a change is stored with its binding before it is sent; a reading one only if the caller chose its id', async (t) => {
  const { submit, store, routing } = setUpEntry(t);
  let open = (): void => undefined;
  store.gate = new Promise((resolve) => (open = resolve));
  const submitted = submit();
  const reading = await submit({ type: 'list' });
  t.same(
    [...routing.given].map(({ type }) => type),
    ['list'],
    'the change waits for the database',
  );
  open();
  const { id: changeId } = await submitted;
  t.match(store.pending.get(changeId), { agentId: 'agent', agentEpoch: 1, receivedByInstanceId: here });
  t.equal(store.pending.has(reading.id), false);
  await submit({ type: 'list', id });
  t.match(store.pending.get(id), { agentId: '' }, 'any agent may have it');
});

test('an operation without a result ends at its deadline: recorded, counted, told', async (t) => {
  const time = fakeTime(t);
  const { submit, store, acceptance, recorder } = setUpEntry(t);
  const { id, result } = await submit({ timeoutMs: 1_000 });
  await time.pass(990);
  t.equal(acceptance.pendingCount, 1);
  await time.pass(10);
  await t.rejects(result, { code: 'timed-out', details: { operationId: id, account: 'prod' } });
  await recorder.idle();
  t.match(store.ended.get(id), {
    finalOutcome: 'timed out',
    totalDurationMs: 1_000,
    sentToAgent: { agentId: 'agent' },
  });
  t.equal(acceptance.pendingCount, 0);
  t.same([...acceptance.accountsUnderWay()], []);
});

test('one that names no time has the default, and none has more than the maximum', async (t) => {
  const { submit, acceptance } = setUpEntry(t);
  const timeoutOf = async (timeoutMs: number) => acceptance.originated((await submit({ timeoutMs })).id)?.timeoutMs;
  t.equal(await timeoutOf(0), defaultTimeoutMs);
  t.equal(await timeoutOf(maxTimeoutMs * 2), maxTimeoutMs);
  t.equal(await timeoutOf(5), 5);
});

test('one whose agent has gone by its deadline ends as agent lost: whether it was done is not known', async (t) => {
  const time = fakeTime(t);
  const { submit, map, store, recorder } = setUpEntry(t);
  const { id, result } = await submit({ timeoutMs: 1_000 });
  map.set({ account: 'prod', version: 2, assignments: [] });
  await time.pass(1_000);
  await t.rejects(result, { code: 'agent-lost' });
  await recorder.idle();
  t.match(store.ended.get(id), { finalOutcome: 'agent lost' });
});

test('a database that does not answer keeps no caller past the deadline, and what it stores later is not sent', async (t) => {
  const time = fakeTime(t);
  const { submit, store, routing } = setUpEntry(t);
  let open = (): void => undefined;
  store.gate = new Promise((resolve) => (open = resolve));
  const refused = t.rejects(submit({ timeoutMs: 1_000 }), { code: 'timed-out' });
  await time.pass(1_000);
  await refused;
  open();
  await time.settle();
  t.equal(routing.given.length, 0);
});

test('nor does an owner that is not found in time', async (t) => {
  const time = fakeTime(t);
  const { submit, routing } = setUpEntry(t);
  routing.owner = silence;
  const refused = t.rejects(submit({ timeoutMs: 1_000 }), {
    code: 'timed-out',
    message: /the owner of account "prod"/u,
  });
  await time.pass(1_000);
  await refused;
});

test('the same operation again, while it is under way here, waits for the same result', async (t) => {
  const { submit, acceptance, routing } = setUpEntry(t);
  const first = await submit({ id });
  routing.owner = new GatewayError('no-agent', 'its agent has gone');
  const again = await submit({ id });
  t.equal(again.result, first.result, 'whether its owner is there or not');
  t.equal(routing.given.length, 1, 'it is sent once');
  await t.rejects(
    submit({ id, digest: 'other' }),
    { code: 'operation-conflict' },
    'another one with that id is refused',
  );
  acceptance.take(id)?.resolve(answer);
  t.equal(await again.result, answer);
});

test('so does its twin that came while the owner was looked for', async (t) => {
  const { submit, routing } = setUpEntry(t);
  let found = (): void => undefined;
  const owner = { instanceId: 'there', agentId: 'agent', epoch: 1 };
  routing.owner = new Promise((resolve) => (found = () => resolve(owner)));
  const twins = [submit({ id }), submit({ id }), submit({ id, digest: 'other' })];
  const outcomes = Promise.allSettled(twins);
  found();
  t.match(await outcomes, [
    { status: 'fulfilled' },
    { status: 'fulfilled' },
    { reason: { code: 'operation-conflict' } },
  ]);
  t.equal(routing.given.length, 1);
});

test('one that is under way on another instance is not sent again: its record answers', async (t) => {
  const time = fakeTime(t);
  const { submit, store, routing } = setUpEntry(t);
  store.store(stored(id, { digest: 'digest', receivedByInstanceId: 'there' }));
  await t.rejects(submit({ id, digest: 'other' }), { code: 'operation-conflict' });
  const { result } = await submit({ id });
  t.equal(routing.given.length, 0);
  const resultReceivedFromAgent = { agentId: 'agent', instanceId: 'there', time: 5, status: 200, durationMs: 7 };
  await store.finish([finished(id, { resultReceivedFromAgent, resultMessage: 'scaled' })]);
  await time.pass(300);
  t.match(Buffer.from(await result).toString(), /scaled/u);
});

test('one that has ended without a result is answered with how it ended', async (t) => {
  const { submit, store } = setUpEntry(t);
  for (const [ended, outcome, code] of [
    [id, 'agent lost', 'agent-lost'],
    [otherId, 'timed out', 'timed-out'],
  ] as const) {
    await store.finish([finished(ended, { digest: 'digest', finalOutcome: outcome })]);
    await t.rejects((await submit({ id: ended })).result, {
      code,
      message: `operation ${ended} has ended: ${outcome}`,
    });
  }
});

test('one that has ended is answered from its record even where its agent is gone', async (t) => {
  const { submit, store, routing } = setUpEntry(t);
  routing.owner = new GatewayError('no-agent', 'nobody serves it');
  await t.rejects(submit({ id }), { code: 'no-agent' }, 'one that was never heard of is refused');
  await store.finish([finished(id, { digest: 'digest', finalOutcome: 'cancelled' })]);
  await t.rejects((await submit({ id })).result, { code: 'cancelled' });
  await t.rejects(submit({ id, digest: 'other' }), { code: 'operation-conflict' });
});

test('whoever takes an operation out settles it: nobody is answered twice', async (t) => {
  const { submit, acceptance } = setUpEntry(t);
  const { id: taken } = await submit();
  t.match(acceptance.take(taken), { context: { id: taken } });
  t.equal(acceptance.take(taken), undefined);
  t.same(acceptance.ofAccount('prod'), []);
  t.equal(acceptance.originated(taken), undefined);
});

test('an operation that no owner took is withdrawn, and its id may be used again', async (t) => {
  const { submit, store, acceptance, routing } = setUpEntry(t);
  routing.refusal = new GatewayError('no-agent', 'its agent has gone');
  await t.rejects(submit({ id }), { code: 'no-agent' });
  t.same([store.pending.size, acceptance.pendingCount], [0, 0]);
  routing.refusal = undefined;
  await t.resolves(submit({ id, digest: 'other' }));
});

test('one that cannot be withdrawn may still be done, and the caller is told so', async (t) => {
  const { submit, store, routing } = setUpEntry(t);
  routing.refusal = new GatewayError('no-agent', 'its agent has gone');
  store.adoptedBy.set(id, 'there');
  const adopted = {
    code: 'timed-out',
    message: /another instance has taken operation .* over; it may still be executed/u,
  };
  await t.rejects(submit({ id }), adopted);
  routing.gate = new Promise((resolve) => {
    setImmediate(() => {
      store.failure = new GatewayError('dependency-unavailable', 'SQL is away');
      resolve();
    });
  });
  const away = { code: 'timed-out', message: /the database .* operation .*; it may still be executed/u };
  await t.rejects(submit({ id: otherId }), away, 'after it was stored');
  await t.rejects(submit(), away, 'while it was stored');
  store.failure = new GatewayError('dependency-unavailable', 'SQL is away', { unsent: true });
  await t.rejects(submit(), { code: 'dependency-unavailable' }, 'it was not stored for sure');
});

test('the operation of an instance that died goes on here, with the time that it has left and for the same process', async (t) => {
  const time = fakeTime(t);
  const { acceptance, routing, store, recorder } = setUpEntry(t);
  const left = { ...stored(id, { receivedByInstanceId: 'dead', agentProcessId: 'process' }), timeLeftMs: 5_000 };
  routing.refusal = new GatewayError('no-agent', 'its agent is not back yet');
  t.equal(acceptance.adopt(left), true);
  t.equal(acceptance.adopt(left), false, 'once');
  await time.settle();
  t.match(routing.given, [
    { id, binding: { agentId: 'agent-1', epoch: 1, processId: 'process' }, taken: { agentId: 'agent-1' } },
  ]);
  t.equal(acceptance.pendingCount, 1, 'it waits for its agent');
  await time.pass(5_000);
  await recorder.idle();
  t.match(store.ended.get(id), { receivedBy: { instanceId: 'dead' }, totalDurationMs: left.timeoutMs });
});

test('a full queue refuses to adopt', async (t) => {
  const { acceptance, submit } = setUpEntry(t, { entries: 1 });
  await submit();
  t.throws(() => acceptance.adopt({ ...stored(id), timeLeftMs: 5_000 }), { code: 'overloaded' });
});

test('ids that are made here are used once', async (t) => {
  const { submit } = setUpEntry(t);
  const made = await Promise.all(Array.from({ length: 100 }, () => submit()));
  t.equal(new Set(made.map((accepted) => accepted.id)).size, 100);
});

test('an operation whose result comes while it is being stored is answered at once, and is not sent', async (t) => {
  const { acceptance, submit, store, routing } = setUpEntry(t);
  let stored = (): void => undefined;
  store.gate = new Promise((resolve) => (stored = resolve));
  const submitted = submit({ id });
  await waitFor(() => acceptance.originated(id) !== undefined);
  acceptance.take(id)?.resolve(answer);
  t.equal(await (await submitted).result, answer);
  stored();
  await waitFor(() => store.pending.size === 1);
  t.same(routing.given, []);
});
