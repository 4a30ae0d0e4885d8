/** Where a result goes, what is recorded of it, what the caller hears, and when the agent may forget it. */

import { test, type Test } from 'tap';
import { fromBinary } from '@bufbuild/protobuf';
import { GatewayError } from '../../../src/core/errors.js';
import { Session, type InFlight } from '../../../src/gateway/agents/session.js';
import { tooLargeResult } from '../../../src/gateway/grpc/frames.js';
import { Results } from '../../../src/gateway/operations/results.js';
import { noTracing } from '../../../src/gateway/telemetry/tracing.js';
import { OperationResultSchema } from '../../../src/protocol/generated/ops/operations_pb.js';
import { readRoute } from '../../../src/protocol/wire.js';
import { fakeTime } from '../../fake-time.js';
import { account, finished, operation as stored } from '../../store/fixtures.js';
import { TransportDouble } from '../agents/session-double.js';
import { here, ids, maxMessageBytes, result, setUpEntry } from './doubles/entry.js';
import { OthersDouble } from './doubles/others.js';

const [id] = ids;
const unreachable = new GatewayError('owner-unreachable', 'connection refused');
const ended = new GatewayError('operation-ended', 'it has ended');
const away = new GatewayError('dependency-unavailable', 'SQL is away');

function setUp(t: Test) {
  const entry = setUpEntry(t);
  const others = new OthersDouble();
  const receipts: string[] = [];
  const { acceptance, recorder, store, logger, metrics, routing } = entry;
  const results = new Results({
    instanceId: here,
    acceptance,
    forwarder: others,
    discovery: others,
    recorder,
    operations: store,
    logger,
    metrics,
    tracing: noTracing,
    maxMessageBytes,
    receipt: (operationId, outcome) => {
      receipts.push(`${operationId} ${outcome}`);
      return new Uint8Array();
    },
    tooLarge: tooLargeResult,
    stopping: routing.stopping,
    now: () => 1_700_000_000_000,
  });
  /** An agent's stream that serves the account "prod", unless another is named. */
  const stream = (agentId = 'agent', accountName = 'prod'): Session => {
    const session = new Session(new TransportDouble(), { maxInFlight: 1, queueLimit: 1 }, () => 0);
    session.activate({ agentId, zoneId: '', version: '', epoch: 1, dynamicAccounts: false, kubernetesApi: false });
    session.accounts.set(accountName, account(accountName));
    t.teardown(() => session.close());
    return session;
  };
  /** A stream that was sent the operation. */
  const sent = (operationId: string, originatingInstanceId = here): Session => {
    const session = stream();
    const times = { processedTime: 10, sentTime: 20, sentAt: performance.now(), expiresAt: Number.POSITIVE_INFINITY };
    const inFlight: InFlight = { account: 'prod', originatingInstanceId, traceparent: '', ...times };
    session.deliver(operationId, new Uint8Array(), inFlight);
    return session;
  };
  const counted = async (way: string): Promise<number | undefined> =>
    (await metrics.results.get()).values.find(({ labels }) => labels['way'] === way)?.value;
  return { ...entry, others, receipts, results, stream, sent, counted };
}

const read = async (answer: Promise<Uint8Array>) => fromBinary(OperationResultSchema, await answer);

test('a result is recorded, then the caller is answered with its way, then the agent may forget it', async (t) => {
  const { submit, results, sent, store, receipts } = setUp(t);
  const { id: operationId, result: answer } = await submit();
  let open = (): void => undefined;
  store.gate = new Promise((resolve) => (open = resolve));
  let answered = false;
  void answer.then(() => (answered = true));
  const taken = results.fromAgent(sent(operationId), result(operationId, 200, 'prod', { message: 'scaled' }));
  await new Promise(setImmediate);
  t.same([answered, receipts], [false, []], 'not before the database has it');
  open();
  await taken;
  t.match(await read(answer), { operationId, status: 200, message: 'scaled' });
  t.match(readRoute(await answer), {
    processedByInstanceId: here,
    processedTime: 10,
    sentToAgentId: 'agent',
    sentTime: 20,
  });
  t.match(store.ended.get(operationId), {
    finalOutcome: 'completed',
    processedBy: { instanceId: here },
    resultReceivedFromAgent: { agentId: 'agent', status: 200 },
    resultMessage: 'scaled',
  });
  t.same(receipts, [`${operationId} recorded`]);
});

test('a reading operation is answered without the database', async (t) => {
  const { submit, results, sent, store } = setUp(t);
  const { id: operationId, result: answer } = await submit({ type: 'list' });
  store.gate = new Promise(() => undefined);
  await results.fromAgent(sent(operationId), result(operationId));
  t.match(await read(answer), { status: 200 });
  store.gate = Promise.resolve();
});

test('the outcome is what the agent says: 2xx completed, else failed; one that was restarted does not know', async (t) => {
  const { submit, results, sent, store } = setUp(t);
  for (const [status, reason, outcome] of [
    [299, '', 'completed'],
    [404, 'NotFound', 'failed'],
    [500, 'AgentRestarted', 'agent lost'],
  ] as const) {
    const { id: operationId } = await submit();
    await results.fromAgent(sent(operationId), result(operationId, status, 'prod', { reason }));
    t.match(store.ended.get(operationId), { finalOutcome: outcome });
  }
});

test('an account that the agent names wrongly counts for nothing', async (t) => {
  const { submit, results, sent } = setUp(t);
  const { id: operationId, result: answer } = await submit();
  await results.fromAgent(sent(operationId), result(operationId, 200, 'somebody-elses'));
  t.match(await read(answer), { account: 'prod' });
});

test('an outcome that the database does not take keeps no caller past the deadline, and is recorded later', async (t) => {
  const time = fakeTime(t);
  const { submit, results, sent, store, receipts } = setUp(t);
  const { id: operationId, result: answer } = await submit({ timeoutMs: 1_000 });
  store.failure = away;
  const told = t.rejects(answer, { code: 'timed-out', message: /the database does not accept its outcome/u });
  const taken = results.fromAgent(sent(operationId), result(operationId));
  await time.pass(1_000);
  await told;
  t.same(receipts, [], 'the agent keeps it meanwhile');
  store.failure = undefined;
  await time.pass(6_000);
  await taken;
  t.match(store.ended.get(operationId), { finalOutcome: 'completed' });
  t.same(receipts, [`${operationId} recorded`]);
});

test('where another instance has recorded another outcome, that one stands and is told', async (t) => {
  const { submit, results, sent, store, receipts } = setUp(t);
  const { id: operationId, result: answer } = await submit();
  await store.finish([finished(operationId, { finalOutcome: 'agent lost' })]);
  await results.fromAgent(sent(operationId), result(operationId));
  await t.rejects(answer, { code: 'agent-lost' });
  t.match(store.ended.get(operationId), { finalOutcome: 'agent lost' });
  t.same(receipts, [`${operationId} recorded`]);
});

test('an oversized result fails its operation, whatever the agent claims', async (t) => {
  const { submit, results, sent, store, receipts, counted } = setUp(t);
  const { id: operationId, result: answer } = await submit();
  const message = 'x'.repeat(maxMessageBytes);
  await results.fromAgent(sent(operationId), result(operationId, 200, 'prod', { message }));
  t.match(await read(answer), { status: 413, account: 'prod' });
  t.match(store.ended.get(operationId), { finalOutcome: 'failed', resultReceivedFromAgent: { status: 413 } });
  t.same(receipts, [`${operationId} too-large`]);
  t.equal(await counted('too-large'), 1);
});

test('the result of an operation of another instance is brought there, with its way, and recorded by that one', async (t) => {
  const { results, sent, others, store, receipts } = setUp(t);
  store.store(stored(id, { receivedByInstanceId: 'there' }));
  await results.fromAgent(sent(id, 'there'), result(id));
  t.match(others.results, [{ to: 'there' }]);
  t.match(readRoute(others.results[0]!.bytes), { processedByInstanceId: here, answeredByAgentId: 'agent' });
  t.equal(store.ended.size, 0);
  t.same(receipts, [`${id} recorded`]);
});

test('an instance that does not answer is tried a few times; then the owner records in its place', async (t) => {
  const time = fakeTime(t);
  const { results, sent, others, store, receipts } = setUp(t);
  store.store(stored(id, { receivedByInstanceId: 'there' }));
  others.answers.push(...Array.from({ length: 5 }, () => unreachable));
  const taken = results.fromAgent(sent(id, 'there'), result(id));
  await time.pass(3_000);
  await taken;
  t.equal(others.results.length, 5);
  t.match(store.ended.get(id), { finalOutcome: 'completed', receivedBy: { instanceId: 'there' } });
  t.same(receipts, [`${id} recorded`]);
});

test('one that is gone is not tried: the owner records at once', async (t) => {
  const { results, sent, others, store } = setUp(t);
  store.store(stored(id, { receivedByInstanceId: 'gone' }));
  await results.fromAgent(sent(id, 'gone'), result(id));
  t.equal(others.results.length, 0);
  t.match(store.ended.get(id), { finalOutcome: 'completed', resultReceivedBy: { instanceId: here } });
});

test('a result that nobody waits for any more may be forgotten once its operation has an outcome, and not before', async (t) => {
  const { results, sent, others, store, receipts } = setUp(t);
  store.store(stored(id));
  others.answers.push(ended, ended);
  await results.fromAgent(sent(id, 'there'), result(id));
  await store.finish([finished(id, { finalOutcome: 'timed out' })]);
  await results.fromAgent(sent(id, 'there'), result(id));
  t.same(receipts, [`${id} unknown-operation`, `${id} recorded`]);
  t.match(store.ended.get(id), { finalOutcome: 'timed out' });
});

test('an agent that has dialled again may answer on its new stream', async (t) => {
  const { submit, results, stream, receipts } = setUp(t);
  const { id: operationId, result: answer } = await submit();
  await results.fromAgent(stream(), result(operationId));
  t.match(await read(answer), { status: 200 });
  t.same(receipts, [`${operationId} recorded`]);
});

test('an agent that was not sent the operation answers nothing: neither another one, nor one without the account', async (t) => {
  const { submit, results, stream, acceptance, receipts, logger, counted, store } = setUp(t);
  const { id: operationId } = await submit();
  await results.fromAgent(stream('other'), result(operationId));
  await results.fromAgent(stream('agent', 'another-account'), result(operationId));
  store.store(stored(id));
  await results.fromAgent(stream('agent', 'another-account'), result(id));
  t.equal(acceptance.originated(operationId)?.id, operationId, 'it is waited for as before');
  t.equal(store.ended.size, 0);
  t.same(new Set(receipts), new Set([`${operationId} unknown-operation`, `${id} unknown-operation`]));
  t.equal(await counted('foreign'), 3);
  t.match(logger.lines, [{ level: 'warn', message: /^result from an agent that was not sent the operation/u }]);
});

test('a late result of an operation that another instance waits for is brought there, else recorded here', async (t) => {
  const { results, stream, store, others, receipts } = setUp(t);
  const late = (): Promise<void> => results.fromAgent(stream('agent-1'), result(id));
  await late();
  store.store(stored(id, { receivedByInstanceId: 'there' }));
  await late();
  t.equal(store.ended.size, 0);
  others.answers.push(new GatewayError('unknown-operation', 'it is not waited for here'));
  await late();
  t.match(store.ended.get(id), { finalOutcome: 'completed' });
  await late();
  t.equal(others.results.length, 2, 'what has ended is brought to nobody');
  t.same(receipts, [`${id} unknown-operation`, ...Array.from({ length: 3 }, () => `${id} recorded`)]);
});

test('an agent keeps what could not be dealt with: without the database, or too many at once', async (t) => {
  const { results, stream, store, receipts, logger } = setUp(t);
  store.failure = away;
  await results.fromAgent(stream(), result(id));
  store.failure = undefined;
  store.gate = new Promise(() => undefined);
  const session = stream();
  // As many as may be under way (maxInFlight and queueLimit of the stream), and one more.
  for (let count = 0; count < 2; count += 1) void results.fromAgent(session, result(id));
  await results.fromAgent(session, result(id));
  store.gate = Promise.resolve();
  t.same(receipts, []);
  t.match(logger.lines, [
    { message: 'result not recorded; the agent sends it again' },
    { message: 'too many results at once; the agent sends this one again' },
  ]);
});

test('what another instance brings is answered here, once', async (t) => {
  const { submit, results } = setUp(t);
  const { id: operationId, result: answer } = await submit();
  await results.fromInstance(result(operationId), true);
  t.match(await read(answer), { status: 200 });
  await t.rejects(results.fromInstance(result(operationId), true), { code: 'operation-ended' });
  const unknown = { code: 'unknown-operation', details: { field: 'result.operation_id' } };
  await t.rejects(results.fromInstance(result(id), true), unknown);
});

test('what a script brings goes to the instance that waits; what an instance brings is never sent on', async (t) => {
  const { results, others, store } = setUp(t);
  store.store(stored(id, { receivedByInstanceId: 'there' }));
  await results.fromInstance(result(id), false);
  t.match(others.results, [{ to: 'there' }]);
  t.equal(store.ended.size, 0);
  await results.fromInstance(result(id), true);
  t.equal(others.results.length, 1);
  t.match(store.ended.get(id), { finalOutcome: 'completed' });
});
