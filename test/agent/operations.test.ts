/** What a connection does with operations: once each, within their deadlines and its bounds, answered until it is known. */

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { test } from 'tap';
import type { Execution } from '../../src/agent/operation-results.js';
import {
  ObjectOutcomeSchema,
  ObjectsSchema,
  type OperationSchema,
} from '../../src/protocol/generated/ops/operations_pb.js';
import { waitFor } from '../wait.js';
import { active, fast, setUp, streamOf } from './set-up.js';

test('never executes an id twice: executing, answered, acknowledged', async (t) => {
  let release: (execution: Execution) => void = () => undefined;
  const setup = await setUp(t, { execute: () => new Promise((resolve) => (release = resolve)) });
  await active(setup);
  const stream = await streamOf(setup, 0);
  stream.operation({ id: 'op' });
  await waitFor(() => setup.executed.length === 1);
  stream.operation({ id: 'op' });
  stream.operation({ id: 'other' });
  await waitFor(() => setup.executed.includes('other'));
  t.same(setup.executed, ['op', 'other'], 'not started again while it executes');
  t.equal(stream.results('op').length, 0);
  release({ status: 201, message: 'other' });
  await waitFor(() => stream.results('other').length === 1);

  stream.operation({ id: 'other' });
  await waitFor(() => stream.results('other').length === 2);
  t.same(stream.results('other')[1], stream.results('other')[0], 'the same answer again');
  stream.receipt('other');
  stream.operation({ id: 'other' });
  await waitFor(() => stream.results('other').length === 3);
  t.match(stream.results('other')[2], { status: 409, reason: 'AlreadyExecuted' });
  t.same(setup.executed, ['op', 'other']);
});

test('what is bound to another process is answered, and not executed', async (t) => {
  const setup = await setUp(t);
  await active(setup);
  const first = await streamOf(setup, 0);
  const processId = first.registration?.processId ?? '';
  t.match(processId, /^[\w-]{16,64}$/u, 'it says which process it is');
  first.finish(status.UNAVAILABLE, 'replica killed');
  const second = await streamOf(setup, 1);
  t.equal(second.registration?.processId, processId, 'on every connection');
  second.operation({ id: 'own', boundEpoch: 1n, boundProcessId: processId });
  second.operation({ id: 'foreign', boundEpoch: 2n, boundProcessId: 'process-of-a-rival' });
  second.operation({ id: 'own by epoch', boundEpoch: 1n });
  second.operation({ id: 'foreign by epoch', boundEpoch: 7n });
  await waitFor(() => second.results().length === 4);
  t.same(setup.executed, ['own', 'own by epoch']);
  for (const id of ['foreign', 'foreign by epoch'])
    t.match(second.results(id), [{ status: 410, reason: 'AgentRestarted' }]);
});

test('re-sends results without a receipt on the next stream, and only those', async (t) => {
  const setup = await setUp(t);
  await active(setup);
  const first = await streamOf(setup, 0);
  first.operation({ id: 'with-receipt' });
  first.operation({ id: 'without-receipt' });
  await waitFor(() => first.results().length === 2);
  first.receipt('with-receipt');
  await waitFor(() => setup.connection.operations.unacknowledged === 1);
  first.finish(status.UNAVAILABLE, 'replica killed');
  const second = await streamOf(setup, 1);
  await waitFor(() => second.results().length === 1);
  t.equal(second.results()[0]?.operationId, 'without-receipt');
  second.operation({ id: 'without-receipt' });
  await waitFor(() => second.results().length === 2);
  t.same(setup.executed, ['with-receipt', 'without-receipt']);
});

test('an operation that executes while the stream is lost is answered on the next one', async (t) => {
  let release: (execution: Execution) => void = () => undefined;
  const setup = await setUp(t, { execute: () => new Promise((resolve) => (release = resolve)) });
  await active(setup);
  const first = await streamOf(setup, 0);
  first.operation({ id: 'slow' });
  await waitFor(() => setup.executed.length === 1);
  first.finish(status.UNAVAILABLE, 'replica killed');
  await waitFor(() => setup.states.includes('backing-off'));
  release({ status: 200 });
  const second = await streamOf(setup, 1);
  await waitFor(() => second.results('slow').length === 1);
  t.same(setup.executed, ['slow']);
});

test('a deadline aborts the work and answers 504; a late result is dropped', async (t) => {
  let reason: unknown;
  let release: () => void = () => undefined;
  const setup = await setUp(t, {
    execute: (_operation, { signal }) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          reason = signal.reason;
        });
        release = () => resolve({ status: 200 });
      }),
  });
  await active(setup);
  const stream = await streamOf(setup, 0);
  stream.operation({ id: 'slow', timeoutMs: 40 });
  await waitFor(() => stream.results('slow').length === 1);
  t.match(stream.results()[0], { status: 504, reason: 'Timeout', durationMs: 40 });
  t.match(reason, { name: 'TimeoutError' });
  t.equal(setup.connection.operations.executing, 1, 'the slot is taken until the work ends');
  release();
  await waitFor(() => setup.connection.operations.executing === 0);
  t.equal(stream.results().length, 1);
});

test('what execute throws becomes a result with status 500', async (t) => {
  const setup = await setUp(t, {
    execute: () => {
      throw new Error('kubeconfig is missing');
    },
  });
  await active(setup);
  const stream = await streamOf(setup, 0);
  stream.operation({ id: 'op' });
  await waitFor(() => stream.results().length === 1);
  t.match(stream.results()[0], {
    status: 500,
    reason: 'InternalError',
    message: /internal error of the agent.*operation op$/,
  });
});

test('a result larger than the gateway takes is replaced by a 413', async (t) => {
  const setup = await setUp(t, {
    execute: async () => ({
      status: 200,
      body: { case: 'logs', value: { $typeName: 'ops.LogsResult', text: new Uint8Array(5_000) } },
    }),
  });
  await active(setup);
  const stream = await streamOf(setup, 0);
  stream.operation({ id: 'large' });
  await waitFor(() => stream.results().length === 1);
  t.match(stream.results()[0], { status: 413, reason: 'RequestEntityTooLarge', message: /50\d\d bytes/ });
  t.equal(setup.connection.state.name, 'active');
});

test('a change that was done is told as done, whatever the size of its result', async (t) => {
  const outcome = (name: string) =>
    create(ObjectOutcomeSchema, { object: { kind: 'ConfigMap', name }, status: name === 'b' ? 403 : 200 });
  const manifests = ['a', 'b'].map(() => new Uint8Array(5_000));
  let outcomes = ['a', 'b'].map(outcome);
  const setup = await setUp(t, {
    execute: () => {
      const body = { case: 'objects' as const, value: create(ObjectsSchema, { manifests, outcomes }) };
      return Promise.resolve({ status: 200, message: 'done', body });
    },
  });
  await active(setup);
  const stream = await streamOf(setup, 0);
  const result = async (id: string, request: NonNullable<MessageInitShape<typeof OperationSchema>['request']>) => {
    stream.operation({ id, request });
    return waitFor(() => stream.results().find(({ operationId }) => operationId === id));
  };
  const deletion = { case: 'delete' as const, value: { labelSelector: 'a=b' } };
  const without = await result('few', deletion);
  t.match(without, { status: 200, message: /^done; the objects are left out: the result would have/ });
  t.match(without.body, { value: { outcomes: [{ status: 200 }, { status: 403 }] } });
  t.match(without.body, { value: { manifests: { length: 0 } } });
  outcomes = Array.from({ length: 1_000 }, (_, index) => outcome(String(index)));
  t.match(await result('many', deletion), { status: 200, message: /left out/, body: { case: undefined } });
  t.match(await result('read', { case: 'list', value: {} }), { status: 413 });
});

test('concurrency and queue are bounded; beyond them 429, which is not remembered', async (t) => {
  const releases: (() => void)[] = [];
  const setup = await setUp(t, {
    limits: { maximumExecuting: 2, maximumQueued: 1, backoff: fast },
    execute: () => new Promise((resolve) => releases.push(() => resolve({ status: 200 }))),
  });
  await active(setup);
  const stream = await streamOf(setup, 0);
  for (const id of ['1', '2', '3', '4']) stream.operation({ id });
  await waitFor(() => stream.results('4').length === 1);
  t.match(stream.results()[0], { status: 429, reason: 'TooManyRequests' });
  t.match(setup.connection.operations, { executing: 2, queued: 1 });
  t.same(setup.executed, ['1', '2']);
  releases[0]?.();
  await waitFor(() => setup.executed.length === 3);
  releases[1]?.();
  releases[2]?.();
  await waitFor(() => stream.results().length === 4);
  stream.operation({ id: '4' });
  await waitFor(() => setup.executed.includes('4'));
  releases[3]?.();
  await waitFor(() => stream.results('4').some((result) => result.status === 200));
});

test('an operation whose deadline passes in the queue is not started', async (t) => {
  const releases: (() => void)[] = [];
  const setup = await setUp(t, {
    limits: { maximumExecuting: 1, backoff: fast },
    execute: () => new Promise((resolve) => releases.push(() => resolve({ status: 200 }))),
  });
  await active(setup);
  const stream = await streamOf(setup, 0);
  stream.operation({ id: 'first' });
  stream.operation({ id: 'second', timeoutMs: 30 });
  await waitFor(() => stream.results('second').length === 1);
  t.match(stream.results('second')[0], { status: 504, message: /not started/ });
  releases[0]?.();
  await waitFor(() => stream.results('first').length === 1);
  t.same(setup.executed, ['first']);
});

test('while results of too many bytes wait for a receipt, new operations get 429', async (t) => {
  const setup = await setUp(t, { limits: { maximumUnacknowledgedBytes: 10, backoff: fast } });
  await active(setup);
  const stream = await streamOf(setup, 0);
  stream.operation({ id: '1' });
  await waitFor(() => stream.results('1').length === 1);
  stream.operation({ id: '2' });
  await waitFor(() => stream.results('2').length === 1);
  t.match(stream.results('2')[0], { status: 429, message: /receipt/ });
  stream.receipt('1');
  stream.operation({ id: '3' });
  await waitFor(() => stream.results('3').length === 1);
  t.match(stream.results('3')[0], { status: 200 });
});

test('ids are remembered, and work is timed, whatever the wall clock says', async (t) => {
  // Longer than they are remembered for.
  const dayMs = 24 * 3_600_000;
  let wallTime = Date.now();
  t.intercept(Date, 'now', { value: () => wallTime });
  const setup = await setUp(t, {
    execute: async () => {
      wallTime += dayMs;
      return { status: 200 };
    },
    onResult: (stream, { operationId }) => stream.receipt(operationId),
  });
  await active(setup);
  const stream = await streamOf(setup, 0);
  stream.operation({ id: 'op' });
  await waitFor(() => stream.results('op').length === 1);
  const [result] = stream.results('op');
  t.match(result, { status: 200 });
  t.ok(result!.durationMs < dayMs / 2, `it took ${result!.durationMs} ms`);
  await waitFor(() => setup.connection.operations.remembered === 1);
  wallTime += dayMs;
  stream.operation({ id: 'op' });
  await waitFor(() => stream.results('op').length === 2);
  t.match(stream.results('op')[1], { status: 409, reason: 'AlreadyExecuted' }, 'a day later, by the wall clock');
});

test('ids are remembered up to a number and a time', async (t) => {
  let now = 0;
  const setup = await setUp(t, {
    now: () => now,
    limits: { rememberedOperations: 2, rememberMs: 1_000, backoff: fast },
    onResult: (stream, { operationId }) => stream.receipt(operationId),
  });
  await active(setup);
  const stream = await streamOf(setup, 0);
  const ask = async (id: string): Promise<number | undefined> => {
    const before = stream.results(id).length;
    stream.operation({ id });
    await waitFor(() => stream.results(id).length > before);
    return stream.results(id).at(-1)?.status;
  };
  for (const id of ['1', '2', '3']) t.equal(await ask(id), 200);
  await waitFor(() => setup.connection.operations.unacknowledged === 0);
  t.equal(setup.connection.operations.remembered, 2);
  t.equal(await ask('3'), 409);
  now = 1_001;
  t.equal(await ask('4'), 200);
  await waitFor(() => setup.connection.operations.unacknowledged === 0);
  t.equal(setup.connection.operations.remembered, 1);
});
