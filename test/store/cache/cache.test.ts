/** kubesvc_cache, kubesvc_cache_rel and kubesvc_resourceversion on every engine. */

import { AssignmentStore } from '../../../src/store/assignments/assignments.js';
import { AccountStore } from '../../../src/store/accounts/accounts.js';
import { CacheStore } from '../../../src/store/cache/cache.js';
import type { CachedObject, CacheScope, CacheWrite, CachingAgent } from '../../../src/store/cache/cached-object.js';
import { InstanceStore } from '../../../src/store/instances/instances.js';
import { onEveryMigratedEngine } from '../engines.js';
import { accounts, connection } from '../fixtures.js';

const signal = AbortSignal.timeout(120_000);
const scope = (change: Partial<CacheScope> = {}): CacheScope => ({
  account: 'prod',
  kind: 'pod',
  namespace: '',
  key: '__Pod',
  ...change,
});

function object(name: string, change: Partial<CachedObject> = {}): CachedObject {
  const { account = 'prod', kind = 'pod', namespace = 'shop' } = change;
  return {
    id: `kubernetes.v2:infrastructure:${kind}:${account}:${namespace}:${name}`,
    account,
    kind,
    namespace,
    application: 'web',
    relations: [{ id: 'kubernetes.v2:logical:applications:web', type: 'applications' }],
    snapshots: 0,
    body: Buffer.from(JSON.stringify({ metadata: { name }, text: `it's "quoted" \\ 'here' ☃ 🐫` })),
    ...change,
  };
}

interface Stream {
  readonly agent: CachingAgent;
  readonly streams: ReadonlyMap<string, number>;
}

function write(stream: Stream, change: Partial<CacheWrite>): CacheWrite {
  return { ...stream, objects: [], deleted: [], snapshots: [], versions: [], ...change };
}

onEveryMigratedEngine(async (t, database) => {
  const cache = new CacheStore(database);
  const assignments = new AssignmentStore(database, { leaseMs: 30_000 });
  const instances = new InstanceStore(database);
  const ids = async () =>
    (await database.run((db) => db.selectFrom('kubesvc_cache').select('id').orderBy('id').execute())).map(
      (row) => row.id.split(':').at(-1) ?? '',
    );
  const relations = async () =>
    database.run((db) =>
      db.selectFrom('kubesvc_cache_rel').select(['id', 'rel_id', 'rel_type']).orderBy('rel_id').execute(),
    );
  /** An agent that is connected with this epoch and caches what it can get. */
  async function connect(epoch: number, names = ['prod'], agentId = 'agent-1'): Promise<Stream> {
    await instances.heartbeat({ id: 'replica-1', baseUrl: 'http://r', version: 'x', agents: 0 }, 30_000);
    await assignments.claim(connection(agentId, 'replica-1', epoch), accounts(...names), signal);
    const agent = { agentId, epoch };
    return { agent, streams: (await cache.start(agent, names)).streams };
  }

  await t.test('objects are written, overwritten and deleted with their relations', async (t) => {
    const holder = await connect(1);
    const owner = { id: 'kubernetes.v2:infrastructure:replicaSet:prod:shop:web-1', type: 'replicaSet' };
    const related = object('web-1-a', { relations: [owner, ...object('x').relations] });
    const [outcome] = await cache.write([write(holder, { objects: [related, object('web-1-b')] })]);
    t.same(outcome, { lost: [], removed: 0 });
    const rows = await database.run((db) => db.selectFrom('kubesvc_cache').selectAll().orderBy('id').execute());
    t.equal(rows[0]?.id, 'kubernetes.v2:infrastructure:pod:prod:shop:web-1-a');
    t.match(rows[0], { agent: 'agent-1', kind: 'pod', account: 'prod', application: 'web', namespace: 'shop' });
    t.same(rows[0]?.body, Buffer.from(related.body).toString(), 'the body is what was sent');
    t.ok(Math.abs((rows[0]?.last_updated ?? 0) - Date.now()) < 60_000);
    t.equal((await relations()).length, 3);

    await cache.write([
      write(holder, { objects: [object('web-1-a', { relations: [owner], application: undefined })] }),
    ]);
    t.match(await relations(), [{ rel_id: owner.id, rel_type: 'replicaSet' }, { rel_type: 'applications' }]);
    await cache.write([write(holder, { deleted: [{ account: 'prod', id: related.id }] })]);
    t.same(await ids(), ['web-1-b']);
    t.equal((await relations()).length, 1);
  });

  await t.test('at the end of a snapshot what it did not contain is removed, in its scope only', async (t) => {
    const holder = await connect(1);
    await cache.write([
      write(holder, {
        objects: [
          ...['old-1', 'old-2', 'kept'].map((name) => object(name)),
          object('elsewhere', { namespace: 'other' }),
          object('service', { kind: 'service' }),
        ],
      }),
    ]);
    const shop = scope({ namespace: 'shop', key: 'shop__Pod' });
    const [outcome] = await cache.write([
      write(holder, {
        objects: [object('kept', { snapshots: 1 }), object('new', { snapshots: 1 })],
        snapshots: [{ scope: shop, number: 1 }],
        versions: [{ scope: shop, resourceVersion: '100' }],
      }),
    ]);
    t.equal(outcome?.removed, 2);
    t.same(await ids(), ['elsewhere', 'kept', 'new', 'service']);
    await cache.write([write(holder, { snapshots: [{ scope: scope(), number: 2 }] })]);
    t.same(await ids(), ['service'], 'all namespaces');
  });

  await t.test('a snapshot that leaves out thousands of objects', async (t) => {
    const holder = await connect(1);
    const many = Array.from({ length: 2_300 }, (_, index) => object(`pod-${String(index).padStart(4, '0')}`));
    await cache.write([write(holder, { objects: many })]);
    t.equal((await ids()).length, 2_300);
    const versions = [{ scope: scope(), resourceVersion: '7' }];
    const [outcome] = await cache.write([
      write(holder, {
        objects: [object('pod-0001', { snapshots: 1 })],
        snapshots: [{ scope: scope(), number: 1 }],
        versions,
      }),
    ]);
    t.equal(outcome?.removed, 2_299);
    t.same(await ids(), ['pod-0001']);
    t.equal((await relations()).length, 1);
    t.match(await cache.start(holder.agent, ['prod']), { points: [{ resourceVersion: '7' }] });
  });

  await t.test('only the stream that has the caching writes', async (t) => {
    const first = await connect(1);
    await cache.write([write(first, { objects: [object('a')], versions: [{ scope: scope(), resourceVersion: '5' }] })]);
    const standby = await connect(3, ['prod'], 'agent-2');
    t.equal(standby.streams.size, 0, 'another agent caches');
    const unasked = { ...standby, streams: first.streams };
    t.same(await cache.write([write(unasked, { objects: [object('b')] })]), [{ lost: ['prod'], removed: 0 }]);

    const start = await cache.start(first.agent, ['prod']);
    t.same(start.points, [{ account: 'prod', key: '__Pod', resourceVersion: '5' }], 'a newer stream');
    const second = { ...first, streams: start.streams };
    const late = write(first, { deleted: [{ account: 'prod', id: object('a').id }], objects: [object('c')] });
    const [older, newer] = await cache.write([late, write(second, { objects: [object('d')] })]);
    t.same([older?.lost, newer?.lost], [['prod'], []]);

    const third = await connect(6);
    t.match(
      await cache.write([write(second, { objects: [object('e')] })]),
      [{ lost: ['prod'] }],
      'an older connection',
    );
    const snapshots = [{ scope: scope(), number: 0 }];
    const [ended] = await cache.write([write(third, { snapshots })]);
    t.same([ended?.lost, ended?.removed], [[], 2]);
    t.same(await ids(), []);
  });

  await t.test('resume points: none while a snapshot is under way', async (t) => {
    const { agent, streams } = await connect(1);
    const note = (resourceVersion: string) =>
      cache.write([write({ agent, streams }, { versions: [{ scope: scope(), resourceVersion }] })]);
    await note('9');
    await note('');
    await note('');
    const rows = await database.run((db) =>
      db.selectFrom('kubesvc_resourceversion').select(['id', 'account']).execute(),
    );
    t.same(rows, [{ id: 'prod:__Pod', account: 'prod' }]);
    await note('10');
    const point = { account: 'prod', key: '__Pod', resourceVersion: '10' };
    t.same((await cache.start(agent, ['prod'])).points, [point]);
    await note('11');
    t.same((await cache.start(agent, ['prod'])).points, [point], 'an older stream writes none');
  });

  await t.test('old events of Kubernetes are purged, a bounded number at a time', async (t) => {
    const holder = await connect(1);
    await cache.write([
      write(holder, { objects: [object('e-1', { kind: 'event' }), object('e-2', { kind: 'event' }), object('pod')] }),
    ]);
    t.equal(await cache.purge(['event'], 3_600_000, 10), 0);
    t.equal(await cache.purge(['event'], -1_000, 1), 1);
    t.equal(await cache.purge(['event'], -1_000, 10), 1);
    t.same(await ids(), ['pod']);
  });

  await t.test('what is cached of accounts that are gone is removed', async (t) => {
    const holder = await connect(1, ['gone', 'prod']);
    const versions = ['gone', 'prod'].map((account) => ({ scope: scope({ account }), resourceVersion: '3' }));
    const objects = [object('a', { account: 'gone' }), object('b')];
    await cache.write([write(holder, { objects, versions })]);
    t.equal(await cache.removeUnknownAccounts(), 0);
    await assignments.release(connection('agent-1', 'replica-1', 1), ['gone'], signal);
    await new AccountStore(database).removeWithoutAgents(0, 10);
    t.equal(await cache.removeUnknownAccounts(), 1);
    t.equal(await cache.removeUnknownAccounts(), 0);
    t.same(await ids(), ['b']);
    const rows = await database.run((db) => db.selectFrom('kubesvc_resourceversion').select('account').execute());
    t.same(rows, [{ account: 'prod' }]);
  });

  await t.test('streams of one replica and of several write at the same time', async (t) => {
    const names = Array.from({ length: 8 }, (_, index) => `account-${index}`);
    const holders = await Promise.all(names.map((name, index) => connect(index + 1, [name], `agent-${index}`)));
    await Promise.all(
      Array.from({ length: 40 }, async (_, round) => {
        const writes = holders
          .filter((_, index) => (index + round) % 3 > 0)
          .map((holder, index) =>
            write(holder, {
              objects: names.flatMap((account) => [object(`o-${(round * 7 + index) % 5}`, { account })]),
              deleted: [{ account: names[index] ?? '', id: object(`o-${round % 5}x`).id }],
            }),
          );
        await cache.write(writes);
      }),
    );
    const perAccount = await database.run((db) =>
      db
        .selectFrom('kubesvc_cache')
        .select(({ fn }) => ['account', 'agent', fn.countAll<number>().as('count')])
        .groupBy(['account', 'agent'])
        .orderBy('account')
        .execute(),
    );
    t.same(
      perAccount.map(({ account, agent, count }) => ({ account, agent, count: Number(count) })),
      names.map((account, index) => ({ account, agent: `agent-${index}`, count: 5 })),
    );
  });
});
