/** The lease: its heartbeat waits for nothing, and a loss is followed by a reclaim, however long that takes. */

import { test, type Test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { silentLogger } from '../../../src/core/logger.js';
import { Lease } from '../../../src/gateway/agents/lease.js';
import { waitFor } from '../../wait.js';

class InstancesDouble {
  heartbeats = 0;
  outcome: 'renewed' | 'started' = 'renewed';
  failure: Error | undefined;

  heartbeat(): Promise<'renewed' | 'started'> {
    this.heartbeats += 1;
    return this.failure === undefined ? Promise.resolve(this.outcome) : Promise.reject(this.failure);
  }

  remove(): Promise<void> {
    return Promise.resolve();
  }
}

async function setUp(t: Test, reclaim: (attempt: number) => Promise<void> = () => Promise.resolve()) {
  const instances = new InstancesDouble();
  const counts = { unsafe: 0, reclaims: 0 };
  const lease = new Lease({
    instances,
    self: () => ({ id: 'here', baseUrl: '', version: '', agents: 0 }),
    ...{ heartbeatMs: 20, leaseMs: 1_000, unsafeMs: 400, logger: silentLogger },
    onUnsafe: () => (counts.unsafe += 1),
    onRenewedLate: () => reclaim((counts.reclaims += 1)),
  });
  const stop = new AbortController();
  await lease.start(stop.signal);
  const running = lease.run(stop.signal);
  t.teardown(() => {
    stop.abort();
    return running;
  });
  return { instances, counts, lease };
}

test('nothing is reclaimed while heartbeats come', async (t) => {
  const { instances, counts, lease } = await setUp(t);
  await waitFor(() => instances.heartbeats > 10);
  t.same(counts, { unsafe: 0, reclaims: 0 });
  t.ok(lease.sure && lease.held);
  t.equal(lease.term, 0);
});

test('heartbeats go on while accounts are reclaimed, and one loss is one reclaim', async (t) => {
  let done = (): void => undefined;
  const { instances, counts, lease } = await setUp(t, () => new Promise((resolve) => (done = resolve)));
  instances.outcome = 'started';
  await waitFor(() => counts.reclaims === 1);
  instances.outcome = 'renewed';
  const before = instances.heartbeats;
  await waitFor(() => instances.heartbeats > before + 60);
  t.ok(lease.sure, 'the lease does not wait for the reclaim');
  t.equal(counts.reclaims, 1);
  done();
  const after = instances.heartbeats;
  await waitFor(() => instances.heartbeats > after + 20);
  t.equal(counts.reclaims, 1, 'it is over');
});

test('a reclaim that fails is tried again, one that a loss overtakes too', async (t) => {
  const { instances, counts, lease } = await setUp(t, (attempt) =>
    attempt === 1 ? Promise.reject(new GatewayError('dependency-unavailable', 'SQL is away')) : Promise.resolve(),
  );
  instances.outcome = 'started';
  await waitFor(() => lease.term === 1);
  instances.outcome = 'renewed';
  await waitFor(() => counts.reclaims === 2);
  instances.outcome = 'started';
  await waitFor(() => lease.term > 1);
  instances.outcome = 'renewed';
  await waitFor(() => counts.reclaims >= 3);
});

test('a database that is away ends what only one may do, once, and is followed by a reclaim when it is back', async (t) => {
  const { instances, counts, lease } = await setUp(t);
  instances.failure = new Error('connection refused');
  await waitFor(() => !lease.sure);
  await waitFor(() => counts.unsafe === 1);
  t.equal(lease.failure, 'connection refused');
  await waitFor(() => !lease.held);
  t.same(counts, { unsafe: 1, reclaims: 0 }, 'not before it is back');
  instances.failure = undefined;
  await waitFor(() => counts.reclaims === 1);
  t.equal(counts.unsafe, 1);
  t.equal(lease.term, 1);
  t.equal(lease.failure, undefined);
});
