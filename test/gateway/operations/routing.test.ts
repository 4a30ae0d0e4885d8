/** Who gets an operation: the stream here, the owner elsewhere, nobody; and what is tried again, and what never is. */

import { test, type Test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import type { DeliverableOperation, Delivery } from '../../../src/gateway/agents/delivery.js';
import { isBoundTo } from '../../../src/gateway/agents/delivery.js';
import { OwnershipService } from '../../../src/gateway/agents/ownership.js';
import type { Registry } from '../../../src/gateway/agents/registry.js';
import type { Originated } from '../../../src/gateway/operations/operation.js';
import { UnknownDelivery } from '../../../src/gateway/peers/peer.js';
import { Routing } from '../../../src/gateway/operations/routing.js';
import { createMetrics } from '../../../src/gateway/telemetry/metrics.js';
import { noTracing } from '../../../src/gateway/telemetry/tracing.js';
import { bindingOf, readOperationHeader, type Binding } from '../../../src/protocol/wire.js';
import { OwnershipMap } from '../../../src/store/mirror/ownership-map.js';
import type { Assignment } from '../../../src/store/assignments/ownership.js';
import { recordingLogger } from '../../discovery/recording-logger.js';
import { fakeTime } from '../../fake-time.js';
import { TruthDouble } from '../../store/mirror/replicas.js';
import { here, submission } from './doubles/entry.js';
import { OthersDouble } from './doubles/others.js';

/** The streams of this instance; one that is full takes nothing. */
class StreamsDouble implements Pick<Registry, 'choose' | 'deliver'> {
  readonly streams: Binding[] = [];
  readonly delivered: DeliverableOperation[] = [];
  full = false;

  choose(_account: string, binding: Binding | undefined): Binding | undefined {
    return this.streams.find((stream) => binding === undefined || isBoundTo(binding, stream));
  }

  deliver(operation: DeliverableOperation): Delivery {
    const stream = this.choose(operation.account, operation.binding);
    if (stream === undefined) throw new GatewayError('not-owner', 'no stream here');
    if (this.full) throw new GatewayError('overloaded', 'the agent has too many');
    this.delivered.push(operation);
    return { ...stream, processedTime: 1, sentTime: 2 };
  }
}

const owner = (change: Partial<Assignment> = {}): Assignment => ({
  ...{ agentId: 'agent', instanceId: 'there', epoch: 1, caching: false },
  ...change,
});
const notOwner = new GatewayError('not-owner', 'no stream here');
const refused = new GatewayError('owner-unreachable', 'connection refused', { cause: new Error('ECONNREFUSED') });
const brokenOff = new GatewayError('owner-unreachable', 'reset', { cause: new UnknownDelivery(new Error('reset')) });

function setUp(t: Test, attempts = 3) {
  const truth = new TruthDouble();
  const map = new OwnershipMap();
  const others = new OthersDouble();
  const streams = new StreamsDouble();
  const logger = recordingLogger();
  const metrics = createMetrics(here, 'test');
  const bound: Binding[] = [];
  const state = { bindable: true };
  const ownership = new OwnershipService({ assignments: truth, map, logger });
  const stopping = new AbortController();
  const routing = new Routing({
    instanceId: here,
    ownership,
    registry: streams,
    discovery: others,
    forwarder: others,
    bind: (_id, binding) => {
      bound.push(binding);
      return Promise.resolve(state.bindable);
    },
    logger,
    metrics,
    tracing: noTracing,
    attempts,
    stopping: stopping.signal,
  });
  const stop = (): void => {
    stopping.abort(new GatewayError('draining', 'the instance stops'));
  };
  t.teardown(stop);
  let version = 0;
  /** What SQL says from now on. */
  const owned = (...assignments: Assignment[]): void => {
    version += 1;
    truth.accounts.set('prod', { account: 'prod', version, assignments });
  };
  /** SQL and the mirror say so. */
  const known = (...assignments: Assignment[]): void => {
    owned(...assignments);
    map.set({ account: 'prod', version, assignments });
  };
  return { truth, map, others, streams, logger, bound, state, routing, owned, known, stop };
}

function operation(change: Partial<Originated> = {}): Originated {
  const now = performance.now();
  const timeoutMs = 30_000;
  return {
    id: 'id',
    account: 'prod',
    type: 'scale',
    bytes: submission().encode('id', 5),
    digest: '',
    durable: true,
    receivedByInstanceId: here,
    receivedTime: 5,
    receivedAt: now,
    timeoutMs,
    deadline: now + timeoutMs,
    binding: { agentId: 'agent', epoch: 1 },
    taken: undefined,
    routing: false,
    ...change,
  };
}

/** One that was sent before, to this process. */
function sentBefore(process: Binding): Originated {
  const taken = { ...process, instanceId: 'there', processedTime: 1, sentTime: 2 };
  return operation({ binding: process, taken });
}

test('a stream here comes first, and nobody is asked', (t) => {
  const { routing, streams, known, truth } = setUp(t);
  streams.streams.push({ agentId: 'agent', epoch: 7 });
  known(owner());
  t.same(routing.target('prod'), { instanceId: here, agentId: 'agent', epoch: 7 }, 'at once');
  t.equal(truth.finds.length, 0);
  t.end();
});

test('else the owner that the mirror names, and of several the one that caches', (t) => {
  const { routing, known, truth } = setUp(t);
  known(owner(), owner({ agentId: 'other', instanceId: 'elsewhere', epoch: 2, caching: true }));
  t.match(routing.target('prod'), { instanceId: 'elsewhere', agentId: 'other', epoch: 2 }, 'at once');
  t.equal(truth.finds.length, 0);
  t.end();
});

test('nobody is told that there is no agent before SQL has said so', async (t) => {
  const { routing, known, owned, map } = setUp(t);
  await t.rejects(async () => routing.target('prod'), { code: 'unknown-account', details: { account: 'prod' } });
  known();
  await t.rejects(async () => routing.target('prod'), {
    code: 'no-agent',
    details: { account: 'prod', retryAfterMs: 5_000 },
  });
  owned(owner());
  t.same(map.get('prod')?.assignments, [], 'the mirror has not heard of the registration');
  t.match(await routing.target('prod'), { instanceId: 'there' });
});

test('rows of this instance without a stream are stale: others are looked for', async (t) => {
  const { routing, known, owned } = setUp(t);
  known(owner({ instanceId: here }));
  await t.rejects(async () => routing.target('prod'), { code: 'no-agent' });
  owned(owner({ instanceId: 'elsewhere', epoch: 2 }));
  t.match(await routing.target('prod'), { instanceId: 'elsewhere' });
});

test('what is connected here is delivered without waiting; what has doubts is left to be routed', (t) => {
  const { routing, streams } = setUp(t);
  const target = { instanceId: here, agentId: 'agent', epoch: 1 };
  streams.streams.push({ agentId: 'agent', epoch: 1 });
  const usual = operation();
  t.equal(routing.deliverHere(usual, target), true);
  t.match(usual, { routing: false, taken: { instanceId: here, agentId: 'agent', epoch: 1, sentTime: 2 } });
  t.equal(routing.deliverHere(usual, target), false, 'it was taken already');
  t.equal(routing.deliverHere(operation(), { ...target, instanceId: 'there' }), false, 'elsewhere');
  t.equal(routing.deliverHere(operation(), { ...target, epoch: 2 }), false, 'bound to an older connection');
  streams.full = true;
  const left = operation();
  t.equal(routing.deliverHere(left, target), false, 'the agent has too much to do');
  t.equal(left.taken, undefined);
  t.equal(streams.delivered.length, 1);
  t.end();
});

test('an operation is forwarded with the time that it has left and its binding, and the owner tells who got it', async (t) => {
  const time = fakeTime(t);
  const { routing, others, known } = setUp(t);
  known(owner());
  const forwarded = operation();
  await time.pass(1_000);
  others.answers.push({ agentId: 'agent', epoch: 1, processedTime: 70, sentTime: 80 });
  await routing.route(forwarded);
  t.match(forwarded.taken, { instanceId: 'there', agentId: 'agent', epoch: 1, processedTime: 70, sentTime: 80 });
  t.equal(forwarded.routing, false);
  const header = readOperationHeader(others.operations[0]?.bytes ?? new Uint8Array());
  t.match(header, { id: 'id', timeoutMs: 29_000 });
  t.same(bindingOf(header), { agentId: 'agent', epoch: 1 });
});

test('"not owner" leads to the truth at once, and to the new owner', async (t) => {
  const { routing, others, known, owned, truth, bound } = setUp(t);
  known(owner());
  owned(owner({ instanceId: 'elsewhere', epoch: 2 }));
  others.answers.push(notOwner);
  fakeTime(t);
  const moved = operation();
  await routing.route(moved);
  t.same(
    others.operations.map(({ to }) => to),
    ['there', 'elsewhere'],
  );
  t.equal(truth.finds.length, 1);
  t.match(moved, { taken: { instanceId: 'elsewhere', epoch: 2 }, binding: { epoch: 2 } });
  t.same(bound, [{ agentId: 'agent', epoch: 2 }], 'it is bound to the new connection before it is sent');
});

test('a caller is not told "not owner": after a bounded number of attempts its agent is changing instances', async (t) => {
  const time = fakeTime(t);
  const { routing, others, known } = setUp(t, 3);
  known(owner());
  others.answers.push(notOwner, notOwner, notOwner);
  const told = t.rejects(routing.route(operation()), { code: 'no-agent', message: /changing instances/u });
  await time.pass(1_000);
  await told;
  t.equal(others.operations.length, 3);
});

test('an owner that cannot be reached is tried again after a pause, and then its successor', async (t) => {
  const time = fakeTime(t);
  const { routing, others, known, owned } = setUp(t);
  known(owner());
  others.answers.push(refused);
  const routed = routing.route(operation());
  await time.settle();
  owned(owner({ instanceId: 'elsewhere', epoch: 2 }));
  t.equal(others.operations.length, 1);
  await time.pass(200);
  await routed;
  t.same(
    others.operations.map(({ to }) => to),
    ['there', 'elsewhere'],
  );
});

test('one that is not among the members is not called', async (t) => {
  const { routing, others, known } = setUp(t, 1);
  known(owner({ instanceId: 'gone' }));
  await t.rejects(routing.route(operation()), { code: 'owner-unreachable', details: { instanceId: 'gone' } });
  t.equal(others.operations.length, 0);
});

test('a change that may have got through is never sent a second time: its result, or its deadline, tells', async (t) => {
  const { routing, others, known, logger } = setUp(t);
  known(owner());
  others.answers.push(brokenOff);
  const change = operation();
  await routing.route(change);
  t.equal(others.operations.length, 1);
  t.match(change.taken, { instanceId: 'there', agentId: 'agent', epoch: 1 });
  t.match(logger.lines, [{ level: 'warn', fields: { operationId: 'id', ownerInstanceId: 'there' } }]);
});

test('a reading operation is', async (t) => {
  const time = fakeTime(t);
  const { routing, others, known } = setUp(t);
  known(owner());
  others.answers.push(brokenOff);
  const routed = routing.route(operation({ type: 'list', binding: undefined }));
  await time.pass(200);
  await routed;
  t.equal(others.operations.length, 2);
});

test('the refusal of an owner reaches the caller, and nobody else is asked', async (t) => {
  const { routing, others, known } = setUp(t);
  known(owner());
  others.answers.push(new GatewayError('overloaded', 'the agent has too many'));
  await t.rejects(routing.route(operation()), { code: 'overloaded' });
  t.equal(others.operations.length, 1);
});

test('an agent that was nowhere to begin with is not waited for; one that had the operation is', async (t) => {
  const time = fakeTime(t);
  const { routing, others, known, owned } = setUp(t);
  known();
  await t.rejects(routing.route(operation()), { code: 'no-agent' });
  const again = routing.route(sentBefore({ agentId: 'agent', epoch: 1, processId: 'process' }));
  await time.settle();
  owned(owner({ epoch: 2, processId: 'process' }));
  await time.pass(200);
  await again;
  t.equal(others.operations.length, 1);
});

test('one that was sent goes to no other process, whoever serves the account', async (t) => {
  const { routing, others, streams, known } = setUp(t, 1);
  const process = { agentId: 'agent', epoch: 1, processId: 'process' };
  known(owner({ epoch: 2, processId: 'rival' }), owner({ agentId: 'other', instanceId: 'elsewhere', epoch: 3 }));
  streams.streams.push({ agentId: 'agent', epoch: 4, processId: 'rival' });
  await t.rejects(routing.route(sentBefore(process)), { code: 'no-agent', message: /the process of agent agent/u });
  t.same([others.operations.length, streams.delivered.length], [0, 0]);
  streams.streams.push({ ...process, epoch: 5 });
  const again = sentBefore(process);
  await routing.route(again);
  t.match(again, { taken: { instanceId: here, epoch: 5 }, binding: process });
});

test('one that another instance has taken over is sent to nobody', async (t) => {
  const { routing, others, known, state } = setUp(t);
  known(owner({ epoch: 2 }));
  state.bindable = false;
  const told = { code: 'timed-out', message: /another instance has taken operation id over/u };
  await t.rejects(routing.route(operation()), told);
  t.equal(others.operations.length, 0);
});

test('attempts end before the deadline, and when this instance stops', async (t) => {
  const time = fakeTime(t);
  const { routing, others, known, stop } = setUp(t, 1_000);
  known(owner());
  others.answers.push(...Array.from({ length: 1_000 }, () => refused));
  const short = operation({ deadline: performance.now() + 1_000 });
  const late = t.rejects(routing.route(short), { code: 'owner-unreachable' });
  await time.pass(1_000);
  await late;
  const stopped = t.rejects(routing.route(operation()), { code: 'draining' });
  await time.settle();
  stop();
  await stopped;
});
