/** The agent's connection against a gateway that the test drives: dialling, losing, making before breaking, stopping. */

import { status } from '@grpc/grpc-js';
import { test } from 'tap';
import { AgentConnection } from '../../src/agent/connection.js';
import { silentLogger } from '../../src/core/logger.js';
import type { Execution } from '../../src/agent/operation-results.js';
import { Reconnect_Reason } from '../../src/protocol/generated/ops/operations_pb.js';
import { startTcpProxy } from '../tcp-proxy.js';
import { waitFor } from '../wait.js';
import { startGatewayDouble } from './gateway-double.js';
import { active, fast, setUp, streamOf } from './set-up.js';

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

test('Reconnect opens a TCP connection of its own, and closes the old one', async (t) => {
  const gateway = await startGatewayDouble();
  t.teardown(() => {
    gateway.stop();
  });
  const proxy = await startTcpProxy({ port: gateway.port });
  t.teardown(() => proxy.close());
  let mostOpen = 0;
  const setup = await setUp(t, {
    addresses: () => [`127.0.0.1:${proxy.port}`],
    onState: () => (mostOpen = Math.max(mostOpen, proxy.connections)),
  });
  await active(setup);
  for (let count = 1; count <= 3; count += 1) {
    gateway.stream(count - 1)?.send({ case: 'reconnect', value: {} });
    await waitFor(() => gateway.stream(count)?.registration);
    await active(setup);
    await waitFor(() => proxy.connections === 1, { description: 'the old connection to be closed' });
  }
  t.equal(mostOpen, 2);
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

test('a silent gateway that is heard again keeps its agent, also when it has registered the dial that was given up', async (t) => {
  let registrations = 0;
  const setup = await setUp(t, {
    onRegister: () => {
      registrations += 1;
      const registered = { clouddriverId: 'double', epoch: BigInt(registrations), resumesCaching: true };
      // The second one is under way when the first stream is heard again.
      return registrations === 2 ? undefined : { case: 'registered', value: registered };
    },
  });
  await active(setup);
  const first = await streamOf(setup, 0);
  first.send({ case: 'caching', value: { start: ['a'] } });
  first.send({ case: 'ping', value: { sequence: 1n, periodMs: 50 } });
  const second = await streamOf(setup, 1);
  t.same(setup.connection.caching, [], 'it caches no more');
  first.send({ case: 'ping', value: { sequence: 2n, periodMs: 60_000 } });
  await active(setup);
  await waitFor(() => second.ended);
  const pongs = () => first.received.flatMap((message) => (message.case === 'pong' ? [message.value] : []));
  await waitFor(() => pongs().some(({ sequence, cachingEnded }) => sequence === 2n && cachingEnded));
  // As a gateway does that had the registration before it learned that nobody waits for it.
  first.finish(status.ABORTED, 'replaced by a newer connection');
  await streamOf(setup, 2);
  await active(setup);
  t.same(registrations, 3);
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
  const setup = await setUp(t, { onRegister: () => undefined, limits: { registerTimeoutMs: 500, backoff: fast } });
  const first = await streamOf(setup, 0);
  // On a slow machine dials may have taken too long before.
  const registering = setup.states.indexOf('registering');
  await waitFor(() => setup.states.length > registering + 1);
  t.equal(setup.states[registering + 1], 'backing-off');
  await waitFor(() => first.ended);
  await waitFor(() => setup.gateway.streams.length >= 2, { description: 'the next dial' });
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
