/** Locks, heartbeats and accounts, on every engine: all by the database's clock. */

import { aborted } from '../../../src/core/deadline.js';
import { withLock } from '../../../src/core/lock.js';
import { AccountStore } from '../../../src/store/accounts/accounts.js';
import { AssignmentStore } from '../../../src/store/assignments/assignments.js';
import { InstanceStore } from '../../../src/store/instances/instances.js';
import { LockStore } from '../../../src/store/instances/locks.js';
import { waitFor } from '../../wait.js';
import { onEveryMigratedEngine } from '../engines.js';
import { account, accounts, connection } from '../fixtures.js';

const leaseMs = 60_000;
const signal = AbortSignal.timeout(120_000);

onEveryMigratedEngine(async (t, database, engine) => {
  await t.test('a lock has one owner', async (t) => {
    const stores = [new LockStore(database), new LockStore(engine.open())];
    const taken = await Promise.all(
      Array.from({ length: 12 }, async (_, index) =>
        (stores[index % 2] ?? stores[0])?.acquire('purge', `r${index}`, leaseMs),
      ),
    );
    t.equal(taken.filter(Boolean).length, 1);
    const owner = `r${taken.indexOf(true)}`;
    const [store] = stores;
    t.equal(await store?.acquire('purge', owner, leaseMs), true, 'again by its owner');
    // Within one millisecond nothing changes in the row, and still it is renewed.
    t.strictSame(
      await Promise.all([1, 2, 3, 4].map(async () => store?.renew('purge', owner, leaseMs))),
      Array(4).fill(true),
    );
    t.equal(await store?.renew('purge', 'stranger', leaseMs), false);
    t.equal(await store?.release('purge', 'stranger'), false);
    t.equal(await store?.acquire('other', 'stranger', leaseMs), true);
    t.equal(await store?.release('purge', owner), true);
    t.equal(await store?.acquire('purge', 'stranger', leaseMs), true);
  });

  await t.test('an expired lock is taken over, and its owner cannot renew it', async (t) => {
    const store = new LockStore(database);
    t.equal(await store.acquire('purge', 'first', 1), true);
    await waitFor(() => store.acquire('purge', 'second', leaseMs));
    t.equal(await store.renew('purge', 'first', leaseMs), false);
    t.equal(await store.acquire('late', 'first', 1), true);
    await waitFor(async () => !(await store.renew('late', 'first', 1)), { description: 'the lock to expire' });
  });

  await t.test('work under a lock keeps it for longer than the lock lasts, and ends when it is taken', async (t) => {
    const locks = new LockStore(database);
    const lock = { locks, name: 'purge', holder: 'first', ttlMs: 1_000 };
    const rival = { ...lock, locks: new LockStore(engine.open()), holder: 'second' };
    const done = await withLock(lock, signal, async () => {
      const end = performance.now() + 1_500;
      await waitFor(async () => {
        if (await rival.locks.acquire('purge', 'second', 1)) t.fail('the lock was taken while the work ran');
        return performance.now() > end;
      });
    });
    t.ok(done);
    t.ok(await withLock(rival, signal, async () => undefined), 'it was released');
    const lost = await withLock(lock, signal, async (held) => {
      const table = 'kubesvc_locks';
      await database.run((db) => db.updateTable(table).set({ expires_time: 0 }).where('name', '=', 'purge').execute());
      t.equal(await rival.locks.acquire('purge', 'second', leaseMs), true);
      await aborted(held);
      throw held.reason;
    });
    t.notOk(lost);
    t.equal(await rival.locks.renew('purge', 'second', leaseMs), true, 'whose it is now was left alone');
  });

  await t.test('a heartbeat says whether the lease was kept', async (t) => {
    const store = new InstanceStore(database);
    const replica = { id: 'replica-1', baseUrl: 'http://replica-1:7002', version: '1', agents: 0 };
    t.equal(await store.heartbeat(replica, leaseMs), 'started');
    t.equal(await store.heartbeat(replica, leaseMs), 'renewed');
    const [live] = await store.live(leaseMs);
    t.match(live, replica);
    t.ok(Math.abs((live?.lastHeartbeatTime ?? 0) - Date.now()) < 60_000);
    t.strictSame(await store.expired(leaseMs), []);
    t.notOk(await store.reaped('replica-1', leaseMs), 'alive');
    await waitFor(async () => (await store.expired(1)).length === 1);
    t.equal(await store.heartbeat(replica, 0), 'started', 'it came too late');
    await store.remove('replica-1');
    t.strictSame(await store.live(leaseMs), []);
    t.equal((await store.expired(leaseMs)).length, 1);
    t.equal(await store.heartbeat({ ...replica, version: '2', agents: 0 }, leaseMs), 'started');
    t.match(await store.live(leaseMs), [{ version: '2', agents: 0 }]);
  });

  await t.test('accounts are as the newest connection registered them', async (t) => {
    const store = new AccountStore(database);
    const assignments = new AssignmentStore(database, { leaseMs });
    await assignments.claim(connection('a', 'replica-1', 1), accounts('prod', 'test'), signal);
    await assignments.claim(connection('b', 'replica-2', 2), [account('prod', { tier: 'o\'ne\\ "😀' })], signal);
    t.match(await store.find('prod'), {
      name: 'prod',
      status: 'ACTIVE',
      zoneId: 'zone',
      dynamic: false,
      connections: 2,
      kubeHost: 'https://prod.example:6443',
      kubeVersion: 'v1.35.1',
      certFingerprint: 'ab:cd',
      maxWatchAgeSeconds: 300,
      namespaces: ['default'],
      properties: { tier: 'o\'ne\\ "😀' },
      failedCount: 0,
    });
    t.equal(await store.find('unknown'), undefined);
    t.strictSame(await store.known(['prod', 'unknown', 'PROD']), new Set(['prod']));
    t.strictSame(
      (await store.list('', 1)).map(({ name }) => name),
      ['prod'],
    );
    t.strictSame(
      (await store.list('prod', 5)).map(({ name }) => name),
      ['test'],
    );
  });

  await t.test('accounts without agents are removed, once they were long enough', async (t) => {
    const store = new AccountStore(database);
    const assignments = new AssignmentStore(database, { leaseMs });
    const link = connection('a', 'replica-1', 1);
    const [before] = await assignments.claim(link, accounts('left', 'served'), signal);
    await assignments.release(link, ['left'], signal);
    t.strictSame(await store.removeWithoutAgents(leaseMs, 10), []);
    t.strictSame(
      await waitFor(async () => {
        const removed = await store.removeWithoutAgents(1, 10);
        return removed.length > 0 && removed;
      }),
      ['left'],
    );
    t.strictSame(await store.known(['left', 'served']), new Set(['served']));
    const [after] = await assignments.claim(link, accounts('left'), signal);
    t.ok((after?.version ?? 0) > (before?.version ?? 0), 'versions go on growing');
  });

  await t.test('claims and removals at the same time lose no account', async (t) => {
    const store = new AccountStore(engine.open());
    const assignments = new AssignmentStore(database, { leaseMs });
    const names = Array.from({ length: 20 }, (_, index) => `account-${index}`);
    for (let epoch = 1; epoch <= 10; epoch += 1) {
      const link = connection('a', 'replica-1', epoch);
      const [claimed] = await Promise.all([
        assignments.claim(link, accounts(...names), signal),
        store.removeWithoutAgents(0, 10),
        store.removeWithoutAgents(0, 100),
      ]);
      t.equal((await assignments.find(names)).size, names.length);
      t.equal(claimed.length, names.length);
      await assignments.release(link, 'all', signal);
    }
  });
});
