/** Discovery through Redis: several instances against a real server that is stopped, killed, frozen and restarted. */

import { Redis } from 'ioredis';
import { test, type Test } from 'tap';
import { silentLogger } from '../../src/core/logger.js';
import type { MembershipChange } from '../../src/discovery/discovery.js';
import { parseReply } from '../../src/discovery/redis-records.js';
import { RedisDiscovery, type RedisDiscoveryOptions } from '../../src/discovery/redis.js';
import type { Service } from '../services/service.js';
import { startRedis } from '../services/redis.js';
import { startTcpProxy } from '../tcp-proxy.js';
import { waitFor } from '../wait.js';

const noSignal = new AbortController().signal;

async function redisServer(t: Test): Promise<Service> {
  const service = await startRedis();
  t.teardown(() => service.stop());
  return service;
}

function clientOf(t: Test, url: string): Redis {
  const redis = new Redis(url, { lazyConnect: true });
  redis.on('error', () => undefined);
  t.teardown(() => {
    redis.disconnect();
  });
  return redis;
}

function make(t: Test, url: string, id: string, options: Partial<RedisDiscoveryOptions> = {}): RedisDiscovery {
  const self = { id, baseUrl: `http://${id}:7002` };
  const redis = clientOf(t, url);
  const discovery = new RedisDiscovery({ self, redis, logger: silentLogger, timeoutMs: 500, ...options });
  t.teardown(() => discovery.stop());
  return discovery;
}

async function start(...arguments_: Parameters<typeof make>): Promise<RedisDiscovery> {
  const discovery = make(...arguments_);
  await discovery.start(noSignal);
  return discovery;
}

const ids = (discovery: RedisDiscovery): string =>
  discovery
    .instances()
    .map(({ id }) => id)
    .join();
/** Quick enough to be pub/sub: beats are 5 seconds apart by default. */
const soon = { timeoutMs: 500, intervalMs: 2 };

test('instances see each other join, become ready, and leave, at once', async (t) => {
  const { url } = await redisServer(t);
  const one = await start(t, url, 'one');
  t.match(one.instances(), [{ id: 'one', baseUrl: 'http://one:7002', ready: false }]);
  t.equal(one.state().status, 'known');
  const changes: MembershipChange[] = [];
  one.onChange((change) => changes.push(change));

  const two = await start(t, url, 'two');
  t.equal(ids(two), 'one,two', 'the newcomer knows all when it has started');
  await waitFor(() => ids(one) === 'one,two', soon);
  two.setReady(true);
  await waitFor(() => one.instance('two')?.ready, soon);
  t.equal(two.instance('two')?.ready, true);
  two.setReady(false);
  await waitFor(() => one.instance('two')?.ready === false, soon);
  await two.stop();
  await waitFor(() => ids(one) === 'one', soon);
  t.same(changes, [
    { added: ['two'], changed: [], removed: [] },
    { added: [], changed: ['two'], removed: [] },
    { added: [], changed: ['two'], removed: [] },
    { added: [], changed: [], removed: ['two'] },
  ]);
});

test('lastUpdated is the last beat, by the clock of Redis', async (t) => {
  const { url } = await redisServer(t);
  const one = await start(t, url, 'one', { ttlMs: 300 });
  const before = one.instance('one')?.lastUpdated ?? 0;
  t.ok(Math.abs(before - Date.now()) < 2_000);
  await waitFor(() => (one.instance('one')?.lastUpdated ?? 0) > before);
});

test('an instance that dies without leaving is gone after its time to live, not before', async (t) => {
  const { url } = await redisServer(t);
  const proxy = await startTcpProxy({ port: Number(new URL(url).port) });
  t.teardown(async () => {
    // Node 20 spins at exit when a socket was reset while its shutdown was under way: let the connections end first.
    await waitFor(() => proxy.connections === 0);
    await proxy.close();
  });
  const one = await start(t, url, 'one', { ttlMs: 900 });
  const two = await start(t, `redis://127.0.0.1:${String(proxy.port)}`, 'two', { ttlMs: 900 });
  await waitFor(() => ids(one) === 'one,two');
  const lastBeat = two.instance('two')?.lastUpdated ?? 0;
  await proxy.cut();
  await waitFor(() => ids(one) === 'one');
  t.ok(Date.now() - lastBeat >= 900, `gone ${String(Date.now() - lastBeat)} ms after its last beat was read`);
  t.equal(ids(two), 'one,two', 'the one that is cut off keeps what it knew');
  t.equal(two.state().status, 'unknown');
  await proxy.heal();
  await waitFor(() => ids(one) === 'one,two' && two.state().status === 'known');
});

test('prefixes keep clusters apart', async (t) => {
  const { url } = await redisServer(t);
  await start(t, url, 'one', { prefix: 'a:' });
  const two = await start(t, url, 'two', { prefix: 'b:' });
  t.equal(ids(two), 'two');
  const keys = await clientOf(t, url).keys('*');
  t.same(keys.sort(), ['a:{instances}:ends', 'a:{instances}:records', 'b:{instances}:ends', 'b:{instances}:records']);
});

test('a key prefix of the client changes nothing', async (t) => {
  const { url } = await redisServer(t);
  const redis = new Redis(url, { lazyConnect: true, keyPrefix: 'theirs:' });
  const one = await start(t, url, 'one', { redis });
  const two = await start(t, url, 'two');
  await waitFor(() => ids(one) === 'one,two', soon);
  await two.stop();
  await waitFor(() => ids(one) === 'one', soon);
});

test('Redis killed and started empty: unknown meanwhile, members kept, all back by themselves', async (t) => {
  const service = await redisServer(t);
  const one = await start(t, service.url, 'one');
  const two = await start(t, service.url, 'two');
  two.setReady(true);
  await waitFor(() => one.instance('two')?.ready);
  const removed: string[] = [];
  one.onChange((change) => removed.push(...change.removed));

  await service.kill();
  await waitFor(() => one.state().status === 'unknown' && two.state().status === 'unknown', soon);
  t.equal(ids(one), 'one,two');
  t.match(one.state().error, /ECONNREFUSED|closed|no connection/i);
  await service.restart();
  await waitFor(() => one.state().status === 'known' && ids(one) === 'one,two');
  await waitFor(() => ids(two) === 'one,two' && one.instance('two')?.ready);
  two.setReady(false);
  await waitFor(() => one.instance('two')?.ready === false, { ...soon, description: 'pub/sub to work again' });
  t.same(removed, [], 'an empty Redis empties no cluster');
});

test('Redis frozen: noticed, and over when it thaws', async (t) => {
  const service = await redisServer(t);
  const one = await start(t, service.url, 'one', { ttlMs: 900, timeoutMs: 200 });
  service.pause();
  await waitFor(() => one.state().status === 'unknown');
  t.equal(ids(one), 'one');
  service.resume();
  await waitFor(() => one.state().status === 'known');
});

test('a dead subscription is noticed, and repaired', async (t) => {
  const { url } = await redisServer(t);
  const one = await start(t, url, 'one', { ttlMs: 900 });
  const two = await start(t, url, 'two');
  const admin = clientOf(t, url);
  const channel = 'agent-gateway:{instances}:changes';
  await waitFor(async () => Number((await admin.pubsub('NUMSUB', channel))[1]) === 2);
  await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await waitFor(async () => Number((await admin.pubsub('NUMSUB', channel))[1]) === 2);
  two.setReady(true);
  await waitFor(() => one.instance('two')?.ready, soon);
});

test('records that are not ours are passed over', async (t) => {
  const record = JSON.stringify({ baseUrl: 'http://a', ready: true, ttlMs: 100, later: 'field' });
  const reply = ['1000', 'a', '1100', record, 'b', '1', 'null', 'c', '1', '{', 'd', '1', '{"baseUrl":1}'];
  t.same(
    [...parseReply(reply).records].map(([id, { record: read }]) => [id, read]),
    [
      ['a', { baseUrl: 'http://a', ready: true, ttlMs: 100 }],
      ['b', undefined],
      ['c', undefined],
      ['d', undefined],
    ],
  );
  t.throws(() => parseReply(null));
  t.throws(() => parseReply(['1000', 'a']));
  const { url } = await redisServer(t);
  const admin = clientOf(t, url);
  await admin.hset('agent-gateway:{instances}:records', 'x', 'no JSON');
  await admin.zadd('agent-gateway:{instances}:ends', Date.now() + 60_000, 'x');
  t.equal(ids(await start(t, url, 'one')), 'one');
});

test('an empty Redis: who does not come back is gone after its time to live', async (t) => {
  const service = await redisServer(t);
  const one = await start(t, service.url, 'one', { ttlMs: 900 });
  const two = await start(t, service.url, 'two', { ttlMs: 900 });
  await waitFor(() => ids(one) === 'one,two');
  await service.kill();
  await two.stop();
  await service.restart();
  await waitFor(() => one.state().status === 'known');
  t.equal(ids(one), 'one,two');
  await waitFor(() => ids(one) === 'one');
});

test('who left may come back at once', async (t) => {
  const { url } = await redisServer(t);
  const one = await start(t, url, 'one');
  await (await start(t, url, 'two')).stop();
  await waitFor(() => ids(one) === 'one', soon);
  await start(t, url, 'two');
  await waitFor(() => ids(one) === 'one,two', soon);
});

test('two instances with one id do not chase each other', async (t) => {
  const { url } = await redisServer(t);
  const one = await start(t, url, 'same');
  const two = await start(t, url, 'same');
  two.setReady(true);
  const admin = clientOf(t, url);
  const beats = async (): Promise<number> =>
    Number(/cmdstat_eval:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1]);
  const [began, before] = [Date.now(), await beats()];
  await waitFor(() => Date.now() - began >= 500);
  const each = ((await beats()) - before) / 2;
  t.ok(each <= 500 / 20 + 2, `${String(each)} beats of each in 500 ms`);
  t.equal(one.instance('same')?.ready, false, 'each sees itself');
});

test('no Redis at the start: fails in time and names the setting, or goes on without failFast', async (t) => {
  const service = await redisServer(t);
  await service.kill();
  await t.rejects(make(t, service.url, 'one', { startTimeoutMs: 300 }).start(noSignal), {
    code: 'dependency-unavailable',
    message: /ECONNREFUSED/,
    details: { field: 'redis.connection' },
  });
  const patient = await start(t, service.url, 'two', { failFast: false });
  t.equal(patient.state().status, 'unknown');
  await service.restart();
  await waitFor(() => patient.state().status === 'known');
  t.equal(ids(patient), 'two');
});

test('stop leaves no connection and no record, and does not wait for a Redis that is gone', async (t) => {
  const service = await redisServer(t);
  const admin = clientOf(t, service.url);
  const one = await start(t, service.url, 'one');
  const clients = async (): Promise<number> => ((await admin.client('LIST')) as string).trim().split('\n').length;
  t.equal(await clients(), 3);
  await one.stop();
  await one.stop();
  await waitFor(async () => (await clients()) === 1);
  t.equal(await admin.hget('agent-gateway:{instances}:records', 'one'), '{"left":true}');

  const two = await start(t, service.url, 'two');
  service.pause();
  const began = Date.now();
  await two.stop();
  t.ok(Date.now() - began < 30_000);
  service.resume();
});

test('the signal ends the start', async (t) => {
  const service = await redisServer(t);
  service.pause();
  const controller = new AbortController();
  const starting = make(t, service.url, 'one').start(controller.signal);
  controller.abort(new Error('changed my mind'));
  await t.rejects(starting, { message: 'changed my mind' });
  service.resume();
});
