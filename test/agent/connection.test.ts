/** The agent's connection against a gateway that the test drives. */

import { status } from '@grpc/grpc-js';
import { test, type Test } from 'tap';
import type { AgentConnectionOptions, ConnectionLimits } from '../../src/agent/connection-options.js';
import { AgentConnection } from '../../src/agent/connection.js';
import type { Execution } from '../../src/agent/operation-results.js';
import { silentLogger } from '../../src/core/logger.js';
import { Reconnect_Reason, type Operation } from '../../src/protocol/generated/ops/operations_pb.js';
import { startTcpProxy } from '../tcp-proxy.js';
import { waitFor } from '../wait.js';
import { startGatewayDouble, type GatewayDouble, type GatewayDoubleOptions } from './gateway-double.js';

const fast = { initialMs: 10, multiplier: 1.6, jitter: 0, maximumMs: 50 };

interface Setup {
  readonly gateway: GatewayDouble;
  readonly connection: AgentConnection;
  readonly states: string[];
  readonly executed: string[];
}

interface SetupOptions extends GatewayDoubleOptions {
  readonly limits?: Partial<ConnectionLimits>;
  readonly execute?: AgentConnectionOptions['execute'];
  readonly onCaching?: AgentConnectionOptions['onCaching'];
  readonly addresses?: (gateway: GatewayDouble) => readonly string[];
}

async function setUp(t: Test, options: SetupOptions = {}): Promise<Setup> {
  const gateway = await startGatewayDouble(options);
  t.teardown(() => gateway.stop());
  const states: string[] = [];
  const executed: string[] = [];
  const execute = options.execute ?? (async (): Promise<Execution> => ({ status: 200 }));
  const connection = new AgentConnection({
    addresses: options.addresses?.(gateway) ?? [gateway.address],
    registration: { agentId: 'agent-1', zoneId: 'zone', version: '1', accounts: [{ name: 'a' }, { name: 'b' }] },
    execute: (operation: Operation, context) => {
      executed.push(operation.id);
      return execute(operation, context);
    },
    logger: silentLogger,
    random: () => 0,
    limits: { backoff: fast, refusedBackoff: { ...fast, initialMs: 60_000, maximumMs: 60_000 }, ...options.limits },
    onState: (state) => states.push(state.name),
    ...(options.onCaching === undefined ? {} : { onCaching: options.onCaching }),
  });
  t.teardown(() => connection.stop());
  connection.start();
  return { gateway, connection, states, executed };
}

async function active({ connection }: Setup): Promise<void> {
  await waitFor(() => connection.state.name === 'active', { description: 'the connection to be active' });
}

/** The n-th stream of the gateway, once it is registered. */
function streamOf({ gateway }: Setup, index: number) {
  return waitFor(() => (gateway.stream(index)?.registration === undefined ? undefined : gateway.stream(index)), {
    description: `stream ${index}`,
  });
}

test('registers, executes, answers, and stops cleanly', async (t) => {
  const setup = await setUp(t);
  t.equal(setup.connection.state.name, 'connecting');
  await active(setup);
  const stream = await streamOf(setup, 0);
  t.match(setup.connection.state, { clouddriverId: 'double', epoch: 1n, address: setup.gateway.address });
  t.match(stream.registration, { agentId: 'agent-1', zoneId: 'zone', accounts: [{ name: 'a' }, { name: 'b' }] });
  stream.operation({ id: 'op-1' });
  await waitFor(() => stream.results('op-1').length === 1);
  t.match(stream.results()[0], { operationId: 'op-1', account: 'a', status: 200 });
  stream.receipt('op-1');
  await waitFor(() => setup.connection.operations.remembered === 1);
  await setup.connection.stop();
  t.equal(stream.ended, true, 'the agent ended the stream');
  t.same(setup.states, ['connecting', 'registering', 'active', 'stopping', 'stopped']);
});

test('answers a ping with its sequence', async (t) => {
  const setup = await setUp(t);
  await active(setup);
  const stream = await streamOf(setup, 0);
  stream.send({ case: 'ping', value: { sequence: 7n, periodMs: 20_000 } });
  await waitFor(() => stream.received.some((m) => m.case === 'pong' && m.value.sequence === 7n));
  t.pass('pong 7');
});

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

test('Reconnect makes before it breaks', async (t) => {
  let release: (execution: Execution) => void = () => undefined;
  let answerSecond = false;
  let epoch = 0n;
  const setup = await setUp(t, {
    execute: () => new Promise((resolve) => (release = resolve)),
    onRegister: () => {
      epoch += 1n;
      if (epoch > 1n && !answerSecond) return undefined;
      return { case: 'registered', value: { clouddriverId: `replica-${epoch}`, epoch, maxMessageBytes: 4096 } };
    },
  });
  await active(setup);
  const first = await streamOf(setup, 0);
  first.send({ case: 'reconnect', value: { reason: Reconnect_Reason.DRAINING, delayMs: 20 } });
  const second = await streamOf(setup, 1);
  t.equal(setup.connection.state.name, 'reconnecting');
  first.operation({ id: 'meanwhile' });
  await waitFor(() => setup.executed.includes('meanwhile'), { description: 'the old stream to serve on' });
  t.equal(first.ended, false);
  second.send({ case: 'registered', value: { clouddriverId: 'replica-2', epoch: 2n, maxMessageBytes: 4096 } });
  await active(setup);
  t.match(setup.connection.state, { clouddriverId: 'replica-2' });
  t.equal(first.ended, false, 'the old stream stays while it is owed a result');
  release({ status: 200 });
  await waitFor(() => first.results('meanwhile').length === 1);
  t.equal(second.results().length, 0);
  first.receipt('meanwhile');
  await waitFor(() => first.ended, { description: 'the old stream to be ended' });
  second.operation({ id: 'after' });
  await waitFor(() => setup.executed.includes('after'));
  t.notOk(setup.states.includes('backing-off'));
  answerSecond = true;
});

test('Reconnect: the old stream may be ended by the gateway before the new one is registered', async (t) => {
  const setup = await setUp(t, {
    onRegister: (stream) => {
      const [first] = setup.gateway.streams;
      if (stream !== first) first?.finish(status.ABORTED, 'replaced by a newer connection');
      return { case: 'registered', value: { clouddriverId: 'double', epoch: 1n, maxMessageBytes: 4096 } };
    },
  });
  await active(setup);
  const first = await streamOf(setup, 0);
  first.operation({ id: 'op' });
  await waitFor(() => first.results('op').length === 1);
  first.send({ case: 'reconnect', value: { reason: Reconnect_Reason.REQUESTED } });
  const second = await streamOf(setup, 1);
  await active(setup);
  await waitFor(() => second.results('op').length === 1, { description: 'the result on the new stream' });
  t.notOk(setup.states.includes('backing-off'), 'a replaced stream of our own is no refusal');
});

test('Reconnect: a failed dial is repeated while the old stream serves', async (t) => {
  let dials = 0;
  const setup = await setUp(t, {
    onRegister: () => {
      dials += 1;
      if (dials === 2 || dials === 3) return { code: status.UNAVAILABLE, details: 'draining' };
      return { case: 'registered', value: { clouddriverId: `replica-${dials}`, epoch: 1n, maxMessageBytes: 4096 } };
    },
  });
  await active(setup);
  (await streamOf(setup, 0)).send({ case: 'reconnect', value: {} });
  await waitFor(() => dials === 4);
  await active(setup);
  t.same(setup.states, ['connecting', 'registering', 'active', 'reconnecting', 'active']);
});

test('a gateway that stalls is left after three silent ping periods, and caching stops', async (t) => {
  const gateway = await startGatewayDouble();
  t.teardown(() => gateway.stop());
  const proxy = await startTcpProxy({ port: gateway.port });
  t.teardown(() => proxy.close());
  const changes: unknown[] = [];
  const setup = await setUp(t, {
    addresses: () => [`127.0.0.1:${proxy.port}`],
    onCaching: (change) => changes.push({ start: [...change.start], stop: [...change.stop] }),
  });
  await active(setup);
  const first = await waitFor(() => gateway.stream(0));
  first.send({ case: 'caching', value: { start: ['a', 'b'] } });
  first.send({ case: 'caching', value: { stop: ['b'] } });
  first.send({ case: 'ping', value: { sequence: 1n, periodMs: 50 } });
  await waitFor(() => first.received.some((message) => message.case === 'pong'));
  t.same(setup.connection.caching, ['a']);
  const stalledAt = performance.now();
  proxy.stall();
  await waitFor(() => setup.connection.state.name !== 'active');
  const silence = performance.now() - stalledAt;
  t.ok(silence > 100 && silence < 1_000, `left after ${silence} ms`);
  t.same(changes, [
    { start: ['a', 'b'], stop: [] },
    { start: [], stop: ['b'] },
    { start: [], stop: ['a'] },
  ]);
  await proxy.heal();
  await active(setup);
  t.same(setup.connection.caching, []);
});

test('other messages than pings also prove that the gateway lives', async (t) => {
  const setup = await setUp(t);
  await active(setup);
  const stream = await streamOf(setup, 0);
  stream.send({ case: 'ping', value: { sequence: 1n, periodMs: 50 } });
  const until = performance.now() + 400;
  const timer = setInterval(() => stream.receipt('nothing'), 30);
  t.teardown(() => clearInterval(timer));
  await waitFor(() => performance.now() > until);
  t.equal(setup.connection.state.name, 'active');
  clearInterval(timer);
  await waitFor(() => setup.gateway.streams.length === 2);
  t.ok(setup.states.includes('backing-off'));
});

for (const code of [status.INVALID_ARGUMENT, status.PERMISSION_DENIED, status.ABORTED]) {
  test(`a registration refused with ${status[code]} backs off slowly`, async (t) => {
    const setup = await setUp(t, { onRegister: () => ({ code, details: 'no' }) });
    await waitFor(() => setup.connection.state.name === 'backing-off');
    t.match(setup.connection.state, { waitMs: 60_000, cause: { code, message: 'no' } });
    await setup.connection.stop();
    t.equal(setup.gateway.streams.length, 1);
  });
}

test('a registration refused with UNAVAILABLE is repeated soon, at the next address', async (t) => {
  const draining = await startGatewayDouble({
    onRegister: () => ({ code: status.UNAVAILABLE, details: 'draining' }),
  });
  t.teardown(() => draining.stop());
  const setup = await setUp(t, { addresses: (gateway) => [draining.address, gateway.address] });
  await active(setup);
  t.equal(draining.streams.length, 1);
  t.same(setup.states, ['connecting', 'registering', 'backing-off', 'connecting', 'registering', 'active']);
});

test('dials again until a gateway listens, and with growing waits', async (t) => {
  const gone = await startGatewayDouble();
  const { port, address } = gone;
  gone.stop();
  const waits: number[] = [];
  const connection = new AgentConnection({
    addresses: [address],
    registration: { agentId: 'agent-1' },
    execute: async () => ({ status: 200 }),
    logger: silentLogger,
    limits: { backoff: { initialMs: 10, multiplier: 2, jitter: 0.2, maximumMs: 80 } },
    random: () => 0.5,
    onState: (state) => {
      if (state.name === 'backing-off') waits.push(state.waitMs);
    },
  });
  t.teardown(() => connection.stop());
  connection.start();
  await waitFor(() => waits.length >= 5);
  t.same(waits.slice(0, 5), [10, 20, 40, 80, 80]);
  const back = await startGatewayDouble({ port });
  t.teardown(() => back.stop());
  await waitFor(() => connection.state.name === 'active');
});

test('a gateway that never answers the registration is left', async (t) => {
  const setup = await setUp(t, { onRegister: () => undefined, limits: { registerTimeoutMs: 50, backoff: fast } });
  await waitFor(() => setup.gateway.streams.length === 2);
  t.same(setup.states.slice(0, 3), ['connecting', 'registering', 'backing-off']);
  await waitFor(() => setup.gateway.stream(0)?.ended);
});

test('a deadline aborts the work and answers 504; a late result is dropped', async (t) => {
  let reason: unknown;
  let release: () => void = () => undefined;
  const setup = await setUp(t, {
    execute: (_operation, { signal }) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => (reason = signal.reason));
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
  t.match(stream.results()[0], { status: 500, reason: 'InternalError', message: 'kubeconfig is missing' });
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

test('stop({drainMs}) finishes what executes, refuses what is new, waits for receipts', async (t) => {
  let release: () => void = () => undefined;
  const setup = await setUp(t, {
    execute: () => new Promise((resolve) => (release = () => resolve({ status: 200 }))),
    onResult: (stream, result) => stream.receipt(result.operationId),
  });
  await active(setup);
  const stream = await streamOf(setup, 0);
  stream.operation({ id: 'old' });
  await waitFor(() => setup.executed.length === 1);
  const stopped = setup.connection.stop({ drainMs: 5_000 });
  t.equal(setup.connection.stop(), stopped, 'one stop only');
  stream.operation({ id: 'new' });
  await waitFor(() => stream.results('new').length === 1);
  t.match(stream.results('new')[0], { status: 503, reason: 'ServiceUnavailable' });
  t.equal(stream.ended, false);
  release();
  await stopped;
  t.match(stream.results('old')[0], { status: 200 });
  t.equal(stream.ended, true);
  t.same(setup.connection.operations, { executing: 0, queued: 0, unacknowledged: 0, remembered: 1 });
});

test('stop() without a drain aborts what executes and says so', async (t) => {
  let aborted = false;
  const setup = await setUp(t, {
    execute: (_operation, { signal }) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          aborted = true;
          resolve({ status: 200 });
        });
      }),
  });
  await active(setup);
  const stream = await streamOf(setup, 0);
  stream.operation({ id: 'op' });
  await waitFor(() => setup.executed.length === 1);
  await setup.connection.stop();
  t.equal(aborted, true);
  t.match(stream.results('op'), [{ status: 503, message: /may have taken effect/ }]);
});

test('stop() ends a link that is stalled, and a dial that is under way', async (t) => {
  const gateway = await startGatewayDouble();
  t.teardown(() => gateway.stop());
  const proxy = await startTcpProxy({ port: gateway.port });
  t.teardown(() => proxy.close());
  const limits = { endMs: 50, backoff: fast };
  const registered = await setUp(t, { addresses: () => [`127.0.0.1:${proxy.port}`], limits });
  await active(registered);
  proxy.stall();
  await registered.connection.stop();
  t.equal(registered.connection.state.name, 'stopped');
  const dialling = await setUp(t, { addresses: () => [`127.0.0.1:${proxy.port}`], limits });
  await dialling.connection.stop();
  t.equal(dialling.connection.state.name, 'stopped');
});

test('an address that is none is a refusal, not a crash; no address is an error', async (t) => {
  const setup = await setUp(t, { addresses: () => ['http://127.0.0.1:9091/path'] });
  await waitFor(() => setup.connection.state.name === 'backing-off');
  await setup.connection.stop();
  t.throws(
    () =>
      new AgentConnection({
        addresses: [],
        registration: {},
        execute: async () => ({ status: 200 }),
        logger: silentLogger,
      }),
    RangeError,
  );
});
