/** Operations of an instance that died: a survivor goes on with them, and what nobody goes on with is recorded as lost. */

import { test, type Test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import type { PendingLimits } from '../../../src/core/pending.js';
import { Adoption } from '../../../src/gateway/operations/adoption.js';
import type { StoredOperation } from '../../../src/store/operations/operation-record.js';
import { fakeTime } from '../../fake-time.js';
import { operation } from '../../store/fixtures.js';
import { here, ids, setUpEntry } from './doubles/entry.js';

const overdueMs = 60_000;
const [id, otherId] = ids;
/** Longer than the longest pause between two sweeps. */
const sweepMs = 7_600;

function setUp(t: Test, pending?: PendingLimits) {
  const entry = setUpEntry(t, pending);
  const { store, router, recorder, logger, routing } = entry;
  const adoption = new Adoption({ instanceId: here, operations: store, router, recorder, logger, overdueMs });
  /** What a dead instance left. */
  const leave = (operationId: string, timeLeftMs = 20_000, change: Partial<StoredOperation> = {}): void =>
    store.store(operation(operationId, { receivedByInstanceId: 'dead', ...change }), timeLeftMs);
  return { ...entry, adoption, leave, signal: routing.stopping };
}

test('a survivor goes on with what a dead instance left, however much, and with nothing of others', async (t) => {
  const { adoption, leave, store, router, logger, signal } = setUp(t, { entries: 1_000 });
  for (let index = 0; index < 120; index += 1) leave(`operation-${String(index).padStart(3, '0')}`);
  leave(id, 20_000, { receivedByInstanceId: 'alive' });
  await adoption.adoptFrom('dead', signal);
  t.equal(router.pendingCount, 120);
  t.equal(store.adoptedBy.size, 120);
  t.equal(router.originated(id), undefined);
  t.match(logger.lines.at(-1), { level: 'info', fields: { deadInstanceId: 'dead', operations: 120 } });
});

test('before it sends anything, an instance that only seemed dead can give it to nobody else any more', async (t) => {
  const { adoption, leave, store, routing, router, signal } = setUp(t);
  leave(id);
  store.adopt = () => Promise.reject(new GatewayError('dependency-unavailable', 'SQL is away'));
  await t.rejects(adoption.adoptFrom('dead', signal), { code: 'dependency-unavailable' });
  t.same([routing.given.length, router.pendingCount], [0, 0]);
});

test('what has no time left is not sent, and what is waited for already is not sent twice', async (t) => {
  const { adoption, leave, routing, signal } = setUp(t);
  leave(id, 0);
  leave(otherId);
  await adoption.adoptFrom('dead', signal);
  await adoption.adoptFrom('dead', signal);
  t.same(
    routing.given.map((given) => given.id),
    [otherId],
  );
});

test('a full queue takes what it can; the rest is left to the sweep', async (t) => {
  const { adoption, leave, router, store, signal } = setUp(t, { entries: 1 });
  leave(id);
  leave(otherId);
  await adoption.adoptFrom('dead', signal);
  t.equal(router.pendingCount, 1);
  t.equal(store.pending.size, 2);
});

test('what is long overdue ends as agent lost, by the clock of the database', async (t) => {
  const time = fakeTime(t);
  const { adoption, leave, store, routing, logger, signal } = setUp(t);
  const running = adoption.run(signal);
  leave(id, -overdueMs - 1);
  leave(otherId, -overdueMs + 1);
  await time.pass(sweepMs);
  t.match(store.ended.get(id), {
    finalOutcome: 'agent lost',
    totalDurationMs: 30_000 + overdueMs + 1,
    errorMessage: /instance dead was lost while it waited/u,
  });
  t.equal(store.ended.has(otherId), false, 'its own instance has a moment to end it');
  t.match(logger.lines, [{ level: 'warn', fields: { operations: 1 } }]);
  routing.stop(new GatewayError('draining', 'bye'));
  await running;
});

test('what this instance waits for is not swept', async (t) => {
  const time = fakeTime(t);
  const { adoption, leave, store, routing, signal } = setUp(t);
  leave(id);
  await adoption.adoptFrom('dead', signal);
  leave(id, -overdueMs - 1);
  const running = adoption.run(signal);
  await time.pass(sweepMs);
  t.equal(store.ended.size, 0);
  routing.stop(new GatewayError('draining', 'bye'));
  await running;
});

test('a sweep that fails is followed by the next one', async (t) => {
  const time = fakeTime(t);
  const { adoption, leave, store, routing, signal } = setUp(t);
  leave(id, -overdueMs - 1);
  store.failure = new GatewayError('dependency-unavailable', 'SQL is away');
  const running = adoption.run(signal);
  await time.pass(sweepMs);
  store.failure = undefined;
  await time.pass(sweepMs);
  t.match(store.ended.get(id), { finalOutcome: 'agent lost' });
  routing.stop(new GatewayError('draining', 'bye'));
  await running;
});
