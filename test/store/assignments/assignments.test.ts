/** Ownership in SQL, on every engine. */

import { AssignmentStore } from '../../../src/store/assignments/assignments.js';
import { InstanceStore } from '../../../src/store/instances/instances.js';
import type { Ownership } from '../../../src/store/assignments/ownership.js';
import { waitFor } from '../../wait.js';
import { onEveryMigratedEngine } from '../engines.js';
import { account, accounts, collect, connection } from '../fixtures.js';

const leaseMs = 60_000;
const signal = AbortSignal.timeout(120_000);
const replica = (id: string) => ({ id, baseUrl: `http://${id}:7002`, version: '1', agents: 0 });
const caching = (ownership: Ownership | undefined): string[] =>
  (ownership?.assignments ?? []).filter((assignment) => assignment.caching).map((assignment) => assignment.agentId);

onEveryMigratedEngine(async (t, database, engine) => {
  const store = new AssignmentStore(database, { leaseMs });
  const instances = new InstanceStore(database);

  await t.test('epochs are unique and grow', async (t) => {
    const stores = [store, new AssignmentStore(engine.open(), { leaseMs })];
    const first = await store.nextEpoch();
    t.equal(await store.nextEpoch(), first + 1);
    t.equal(await store.nextEpoch(10), first + 2);
    t.equal(await store.nextEpoch(), first + 12);
    const many = await Promise.all(Array.from({ length: 40 }, async (_, index) => stores[index % 2]?.nextEpoch()));
    t.equal(new Set(many).size, 40);
  });

  await t.test('the first agent caches, the second does not, and both are owners', async (t) => {
    const [first] = await store.claim(connection('agent-a', 'replica-1', 1), accounts('prod'), signal);
    t.match(first, {
      account: 'prod',
      assignments: [{ agentId: 'agent-a', instanceId: 'replica-1', epoch: 1, caching: true }],
    });
    const [second] = await store.claim(connection('agent-b', 'replica-2', 2), accounts('prod'), signal);
    t.strictSame(second?.assignments, [
      { agentId: 'agent-a', instanceId: 'replica-1', epoch: 1, caching: true },
      { agentId: 'agent-b', instanceId: 'replica-2', epoch: 2, caching: false },
    ]);
    t.equal(second?.version, (first?.version ?? 0) + 1);
    t.ok(Math.abs((first?.version ?? 0) - Date.now()) < 60_000, 'a version starts at the clock');
    t.strictSame((await store.find(['prod', 'unknown'])).get('prod'), second);
    t.notOk((await store.find(['unknown'])).has('unknown'));
  });

  await t.test('an account that nobody caches gets an agent, unless one may still be at it', async (t) => {
    await instances.heartbeat(replica('alive'), leaseMs);
    await store.claim(connection('agent-a', 'gone', 1), accounts('idle'), signal);
    await store.claim(connection('agent-b', 'alive', 2), accounts('held', 'cached', 'idle', 'left'), signal);
    await store.claim(connection('agent-c', 'alive', 3), accounts('held', 'cached', 'idle'), signal);
    await store.release(connection('agent-b', 'alive', 2), ['held', 'left'], signal, 60_000);
    // What another program may leave: nobody caches it.
    const nobody = { caching: engine.dialect === 'mysql' ? (0 as never) : false };
    await database.run((db) =>
      db.updateTable('kubesvc_assignments').set(nobody).where('account_name', '=', 'idle').execute(),
    );
    const before = await store.find(['cached', 'held', 'idle']);
    const after = await store.ensureCaching(['left', 'idle', 'held', 'cached', 'unknown', 'held'], signal);
    t.strictSame(
      after.map((ownership) => [ownership.account, caching(ownership)]),
      [
        ['cached', ['agent-b']],
        ['held', []],
        ['idle', ['agent-b']],
        ['left', []],
      ],
    );
    t.strictSame(after[0], before.get('cached'), 'what is cached stays as it is');
    t.strictSame(after[1], before.get('held'), 'what an agent may still cache waits for it');
    t.equal(after[2]?.version, (before.get('idle')?.version ?? 0) + 1);
    t.strictSame([...(await store.find(['cached', 'held', 'idle', 'left'])).values()], after, 'as SQL has it');
    t.strictSame(await store.ensureCaching(['cached', 'held', 'idle', 'left'], signal), after, 'again: no change');
  });

  await t.test(
    'a newer connection takes over, with the caching; a late claim of the older changes nothing',
    async (t) => {
      await store.claim(connection('agent', 'replica-1', 5), accounts('prod'), signal);
      const [moved] = await store.claim(connection('agent', 'replica-2', 7), accounts('prod'), signal);
      t.strictSame(moved?.assignments, [{ agentId: 'agent', instanceId: 'replica-2', epoch: 7, caching: true }]);
      const late = await store.claim(connection('agent', 'replica-1', 6), [account('prod', { late: 'yes' })], signal);
      t.strictSame(late, [moved]);
      t.strictSame(
        await store.claim(connection('agent', 'replica-2', 7), accounts('prod'), signal),
        [moved],
        'a repeat',
      );
      t.strictSame(await store.release(connection('agent', 'replica-1', 5), 'all', signal), []);
      t.strictSame(await store.release(connection('agent', 'replica-2', 6), ['prod'], signal), []);
      t.strictSame((await store.find(['prod'])).get('prod'), moved);
    },
  );

  await t.test('names compare case-sensitively', async (t) => {
    await store.claim(connection('agent', 'replica-1', 1), accounts('prod'), signal);
    await store.claim(connection('Agent', 'replica-1', 2), accounts('Prod'), signal);
    const found = await store.find(['prod', 'Prod', 'PROD']);
    t.strictSame(
      [...found.values()].map((ownership) => ownership.assignments.map((assignment) => assignment.agentId)),
      [['Agent'], ['agent']],
    );
  });

  await t.test('a release hands the caching to an agent at a live instance, the longest connected first', async (t) => {
    await instances.heartbeat(replica('replica-2'), leaseMs);
    await store.claim(connection('a', 'replica-1', 1), accounts('prod'), signal);
    await store.claim(connection('b', 'replica-dead', 2), accounts('prod'), signal);
    await store.claim(connection('c', 'replica-2', 3), accounts('prod'), signal);
    await store.claim(connection('d', 'replica-2', 4), accounts('prod'), signal);
    const before = (await store.find(['prod'])).get('prod');
    const [released] = await store.release(connection('a', 'replica-1', 1), ['prod', 'unknown'], signal);
    t.strictSame(caching(released), ['c']);
    t.equal(released?.version, (before?.version ?? 0) + 1);
    t.strictSame((await store.find(['prod'])).get('prod'), released);
    const [next] = await store.release(connection('d', 'replica-2', 4), 'all', signal);
    t.strictSame(caching(next), ['c'], 'one that does not cache leaves the caching alone');
    await store.release(connection('c', 'replica-2', 3), 'all', signal);
    const [last] = await store.release(connection('b', 'replica-dead', 2), 'all', signal);
    t.strictSame(last?.assignments, []);
    t.strictSame((await store.find(['prod'])).get('prod'), last, 'known, with no agent');
  });

  await t.test(
    'caching is held for an agent whose stream broke: nobody else begins before the time is over',
    async (t) => {
      const other = new AssignmentStore(engine.open(), { leaseMs });
      const find = async () => (await store.find(['prod'])).get('prod');
      await instances.heartbeat(replica('replica-2'), leaseMs);
      await store.claim(connection('a', 'replica-1', 1), accounts('prod'), signal);
      await store.claim(connection('b', 'replica-dead', 2), accounts('prod'), signal);
      await store.claim(connection('c', 'replica-2', 3), accounts('prod'), signal);
      const [released] = await store.release(connection('a', 'replica-1', 1), 'all', signal, 60_000);
      t.strictSame(caching(released), [], 'nobody');
      t.strictSame(await find(), released);
      await store.claim(connection('d', 'replica-2', 4), accounts('prod'), signal);
      await store.release(connection('d', 'replica-2', 4), 'all', signal);
      await store.claim(connection('c', 'replica-2', 5), accounts('prod'), signal);
      t.strictSame(caching(await find()), [], 'neither who comes, nor who is left by another');
      t.strictSame(await other.electCachers(10, signal), [], 'not yet');

      const [back] = await store.claim(connection('a', 'replica-2', 6), accounts('prod'), signal);
      t.strictSame(caching(back), ['a'], 'but the agent itself, when it is back');
      const [gone] = await store.release(connection('a', 'replica-2', 6), 'all', signal);
      t.strictSame(caching(gone), ['c'], 'a stream that ends in order leaves nothing behind');

      await store.claim(connection('e', 'replica-2', 7), accounts('prod'), signal);
      const before = (await store.release(connection('c', 'replica-2', 5), 'all', signal, 1))[0];
      const [elected] = await waitFor(async () => {
        const found = await other.electCachers(10, signal);
        return found.length > 0 && found;
      });
      t.ok((before?.version ?? 0) < (elected?.version ?? 0));
      t.strictSame(caching(elected), ['e'], 'at a live instance, once the time is over, whoever elects');
      t.strictSame(await find(), elected);
      t.strictSame(await store.electCachers(10, signal), [elected], 'told again, in case the other one died meanwhile');
      await other.electionTold(['prod'], signal);
      t.strictSame(await store.electCachers(10, signal), []);
    },
  );

  await t.test('who comes after the time is over caches at once; an account without agents is just free', async (t) => {
    await store.claim(connection('a', 'replica-1', 1), accounts('prod', 'test'), signal);
    await store.release(connection('a', 'replica-1', 1), ['prod'], signal, 60_000);
    await store.release(connection('a', 'replica-1', 1), ['test'], signal, 1);
    const free = await waitFor(async () => {
      const found = await store.electCachers(10, signal);
      return found.length > 0 && found;
    });
    t.same(
      free.map(({ account, assignments }) => [account, assignments]),
      [['test', []]],
    );
    const claimed = await store.claim(connection('b', 'replica-1', 2), accounts('prod', 'test'), signal);
    t.strictSame(
      claimed.map((ownership) => [ownership.account, caching(ownership)]),
      [
        ['prod', []],
        ['test', ['b']],
      ],
    );
    t.strictSame(await store.electCachers(10, signal), [], 'it was taken');
    await store.release(connection('b', 'replica-1', 2), ['test'], signal, 60_000);
    await store.electionTold(['prod', 'test'], signal);
    const [later] = await store.claim(connection('c', 'replica-1', 3), accounts('test'), signal);
    t.strictSame(caching(later), [], 'what is held anew is not freed by the end of an election before');
  });

  await t.test('a thousand accounts in few round trips', async (t) => {
    const many = accounts(...Array.from({ length: 1_100 }, (_, index) => `account-${String(index).padStart(4, '0')}`));
    const claimed = await store.claim(connection('agent', 'replica-1', 1), many.toReversed(), signal);
    t.equal(claimed.length, 1_100);
    t.ok(claimed.every((ownership) => caching(ownership).length === 1));
    t.strictSame([...(await store.find(many.map((each) => each.name))).values()], claimed);
    t.strictSame(await store.page('', 3), claimed.slice(0, 3));
    t.strictSame(await store.page('account-0002', 2_000), claimed.slice(3));
    t.strictSame(await store.ofInstance('replica-1', 'account-1097', 10), claimed.slice(1_098));
    t.equal((await store.release(connection('agent', 'replica-1', 1), 'all', signal)).length, 1_100);
    t.strictSame(await store.ofInstance('replica-1', '', 10), []);
  });

  await t.test('what a dead instance owned is released in batches, what a live one owns never', async (t) => {
    await store.claim(connection('a', 'replica-1', 1), accounts('one', 'three', 'two'), signal);
    await store.claim(connection('b', 'replica-2', 2), accounts('one', 'two'), signal);
    await instances.heartbeat(replica('replica-1'), leaseMs);
    t.strictSame(await store.releaseInstance('replica-1', 2, signal), [], 'alive');
    await instances.remove('replica-1');
    t.strictSame(
      (await instances.expired(leaseMs)).map((instance) => instance.id),
      ['replica-1'],
    );
    t.notOk(await instances.reaped('replica-1', leaseMs), 'it owns something');
    const first = await store.releaseInstance('replica-1', 2, signal);
    t.strictSame(
      first.map((ownership) => [ownership.account, caching(ownership)]),
      [
        ['one', ['b']],
        ['three', []],
      ],
    );
    const second = await store.releaseInstance('replica-1', 2, signal);
    t.strictSame(
      second.map((ownership) => [ownership.account, caching(ownership)]),
      [['two', ['b']]],
    );
    t.strictSame(await store.releaseInstance('replica-1', 2, signal), []);
    t.ok(await instances.reaped('replica-1', leaseMs));
    t.strictSame(await instances.expired(leaseMs), []);
  });

  await t.test('agents of live instances, with their accounts', async (t) => {
    await instances.heartbeat(replica('replica-1'), leaseMs);
    await instances.heartbeat(replica('replica-2'), leaseMs);
    await store.claim(connection('b', 'replica-1', 1), accounts('one', 'two'), signal);
    await store.claim(connection('a', 'replica-2', 2), accounts('one'), signal);
    await store.claim(connection('c', 'replica-dead', 3), accounts('one'), signal);
    await store.claim(connection('b', 'replica-2', 4), accounts('two'), signal);
    const all = await collect(store.list({}, signal));
    t.match(all, [
      { agentId: 'a', instanceId: 'replica-2', accounts: ['one'], cachedAccounts: [] },
      { agentId: 'b', instanceId: 'replica-1', accounts: ['one'], cachedAccounts: ['one'] },
      { agentId: 'b', instanceId: 'replica-2', accounts: ['two'], cachedAccounts: ['two'] },
    ]);
    t.equal(all.length, 3);
    t.ok(all.every((agent) => Math.abs(agent.lastConnectionTime - Date.now()) < 60_000));
    t.strictSame(await collect(store.list({ agentId: 'a' }, signal)), all.slice(0, 1));
    t.strictSame(await collect(store.list({ agentId: 'nobody' }, signal)), []);
  });

  await t.test('an agent that reconnects while its old connection is released stays', async (t) => {
    const other = new AssignmentStore(engine.open(), { leaseMs });
    const names = Array.from({ length: 20 }, (_, index) => `account-${index}`);
    await store.claim(connection('agent', 'replica-1', 1), accounts(...names), signal);
    for (let epoch = 2; epoch <= 16; epoch += 1) {
      await Promise.all([
        other.release(connection('agent', 'replica-1', epoch - 1), 'all', signal),
        store.claim(connection('agent', 'replica-1', epoch), accounts(...names), signal),
      ]);
      const found = await store.find(names);
      t.ok([...found.values()].every(({ assignments: [one] }) => one?.epoch === epoch && one.caching));
    }
  });

  await t.test(
    'parallel claims and releases of several pools: one caches, versions grow, no deadlock escapes',
    async (t) => {
      const stores = Array.from({ length: 4 }, () => new AssignmentStore(engine.open({ maxPoolSize: 3 }), { leaseMs }));
      const names = Array.from({ length: 40 }, (_, index) => `account-${index}`);
      const versions = new Map<string, number[]>();
      const seen = (list: readonly Ownership[]): void => {
        for (const { account: name, version } of list) versions.set(name, [...(versions.get(name) ?? []), version]);
      };
      let epoch = 0;
      const agents = Array.from({ length: 8 }, (_, index) => `agent-${index}`);
      await Promise.all(
        agents.map(async (agentId, index) => {
          const own = stores[index % stores.length] ?? store;
          for (let round = 0; round < 4; round += 1) {
            epoch += 1;
            const link = connection(agentId, `replica-${index % 3}`, epoch);
            // Each one in another order, as no agent knows of the other's.
            const shuffled = names.toSorted(() => Math.random() - 0.5);
            seen(await own.claim(link, accounts(...shuffled), signal));
            if (round < 3) seen(await own.release(link, round % 2 === 0 ? 'all' : shuffled.slice(0, 20), signal));
          }
        }),
      );
      const found = await store.find(names);
      for (const name of names) {
        const ownership = found.get(name);
        t.equal(ownership?.assignments.length, agents.length);
        t.equal(caching(ownership).length, 1);
        const given = versions.get(name) ?? [];
        t.equal(new Set(given).size, given.length, 'no version was given twice');
      }
    },
  );
});
