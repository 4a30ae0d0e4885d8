/** Replicas that share a Redis: changes spread, losses are found out and healed. */

import { Redis } from 'ioredis';
import { test } from 'tap';
import type { Logger } from '../../../src/core/logger.js';
import { silentLogger } from '../../../src/core/logger.js';
import type { Ownership } from '../../../src/store/assignments/ownership.js';
import { redisDatabase, type TestWithTeardown } from '../../services/databases.js';
import { startRedis } from '../../services/redis.js';
import { startTcpProxy } from '../../tcp-proxy.js';
import { waitFor } from '../../wait.js';
import {
  connection,
  registrations,
  startReplica,
  tamperedRedis,
  TruthDouble,
  untilEqual,
  type Replica,
  claim,
  release,
} from './replicas.js';

const hash = '{agent-gateway:ownership}:accounts';
const channel = '{agent-gateway:ownership}:changes';
const signal = AbortSignal.timeout(120_000);

/** A client of the test's own. */
function client(t: TestWithTeardown, url: string): Redis {
  const redis = new Redis(url);
  redis.on('error', () => undefined);
  t.teardown(() => {
    redis.disconnect();
    return Promise.resolve();
  });
  return redis;
}

function rebuilds(replicas: readonly Replica[]): number {
  return replicas.reduce((sum, { mirror }) => sum + mirror.statistics().rebuilds, 0);
}

test('three replicas see each other’s claims and releases', async (t) => {
  const { url } = await redisDatabase(t);
  const truth = new TruthDouble();
  const replicas = await Promise.all([1, 2, 3].map(() => startReplica(t, { url, truth })));
  t.strictSame(
    replicas.map(({ mirror }) => mirror.state.name),
    ['live', 'live', 'live'],
  );
  t.equal(rebuilds(replicas), 1, 'one of them filled the empty Redis');
  const [first, second, third] = replicas as [Replica, Replica, Replica];
  const heard: [Ownership, Ownership | undefined][] = [];
  third.service.onChange((now, before) => heard.push([now, before]));

  await claim(first.service, connection(1), registrations('a', 'b'), signal);
  await claim(second.service, connection(2), registrations('b'), signal);
  for (const replica of replicas) await untilEqual(replica, truth);
  t.match(third.service.resolve('b'), {
    version: 2,
    assignments: [
      { epoch: 1, caching: true },
      { epoch: 2, caching: false },
    ],
  });
  await release(first.service, connection(1), ['a', 'b'], signal);
  for (const replica of replicas) await untilEqual(replica, truth);
  t.match(heard.at(-1), [{ account: 'b', assignments: [{ epoch: 2 }] }, { assignments: [{ epoch: 1 }, { epoch: 2 }] }]);
  t.equal(truth.finds.length, 0, 'nobody asked SQL');
  t.equal(first.mirror.statistics().gaps, 0);
});

test('a message with an older version is ignored', async (t) => {
  const { url } = await redisDatabase(t);
  const truth = new TruthDouble();
  const replica = await startReplica(t, { url, truth });
  await claim(replica.service, connection(1), registrations('a'), signal);
  await claim(replica.service, connection(5, 'agent-1'), registrations('a'), signal);
  const redis = client(t, url);
  await waitFor(async () => (await redis.hget(hash, 'a'))?.startsWith('[2,'));
  const generation = await redis.hget(hash, '\0generation');
  const old = [['a', [1, [['agent-1', 'gateway-0', 1, 1]]]]];
  await redis.publish(channel, JSON.stringify({ generation, sequence: 1, changes: old, removed: [['a', 1]] }));
  await waitFor(() => replica.mirror.statistics().messages >= 4);
  t.equal(replica.map.get('a')?.assignments[0]?.epoch, 5);
  t.equal(replica.mirror.statistics().gaps, 0);
});

test('a gap in the numbers makes a replica read everything again', async (t) => {
  const { url } = await redisDatabase(t);
  const truth = new TruthDouble();
  const replica = await startReplica(t, { url, truth });
  await claim(replica.service, connection(1), registrations('a', 'gone'), signal);
  await waitFor(() => replica.mirror.statistics().pending === 0);
  const redis = client(t, url);
  // Somebody's change, whose message got lost.
  await redis.hset(hash, 'silent', '[1,[["agent-9","gateway-9",9,1]]]');
  await redis.hdel(hash, 'gone');
  const sequence = await redis.hincrby(hash, '\0sequence', 2);
  const generation = await redis.hget(hash, '\0generation');
  const reloads = replica.mirror.statistics().reloads;
  await redis.publish(channel, JSON.stringify({ generation, sequence, changes: [], removed: [] }));
  await waitFor(() => replica.map.get('silent') !== undefined && replica.map.get('gone') === undefined);
  t.equal(replica.mirror.statistics().gaps, 1);
  t.equal(replica.mirror.statistics().reloads, reloads + 1);
  await waitFor(() => replica.mirror.state.name === 'live');
});

test('an unreadable message leads to a reload, not to a failure', async (t) => {
  const { url } = await redisDatabase(t);
  const replica = await startReplica(t, { url, truth: new TruthDouble() });
  const { reloads } = replica.mirror.statistics();
  const redis = client(t, url);
  for (const text of ['', 'null', '[]', '{"generation":1}']) await redis.publish(channel, text);
  await waitFor(() => replica.mirror.statistics().malformed === 4);
  await waitFor(() => replica.mirror.statistics().reloads > reloads && replica.mirror.state.name === 'live');
});

test('a subscription that is silently dead is found by the number of the last message', async (t) => {
  const { url } = await redisDatabase(t);
  const truth = new TruthDouble();
  let deaf = false;
  const redis = tamperedRedis(url, (text) => (deaf ? [] : [text]));
  const replica = await startReplica(t, { url, truth, redis });
  const other = await startReplica(t, { url, truth });
  await claim(other.service, connection(1), registrations('a'), signal);
  await untilEqual(replica, truth);
  t.equal(replica.mirror.statistics().silences, 0);
  deaf = true;
  await claim(other.service, connection(2), registrations('b'), signal);
  await waitFor(() => replica.mirror.statistics().silences === 1);
  deaf = false;
  await untilEqual(replica, truth);
});

test('20,000 accounts are loaded in pages', async (t) => {
  const { url } = await redisDatabase(t);
  const truth = new TruthDouble();
  truth.fill(20_000);
  const first = await startReplica(t, { url, truth, settings: { startTimeoutMs: 20_000 } });
  t.equal(first.map.size, 20_000);
  t.equal(first.mirror.statistics().rebuilds, 1);
  const pages = truth.pages;
  t.ok(pages >= 41, 'SQL was read in pages');
  const started = performance.now();
  const second = await startReplica(t, { url, truth, settings: { startTimeoutMs: 20_000 } });
  t.comment(`second replica live after ${(performance.now() - started).toFixed(0)} ms`);
  t.equal(second.map.size, 20_000);
  t.equal(second.mirror.statistics().rebuilds, 0);
  t.equal(truth.pages, pages, 'the second replica read Redis only');
  await untilEqual(second, truth);
});

test('Redis killed and restarted empty is filled from SQL by one replica, and accounts are found all along', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const truth = new TruthDouble();
  truth.fill(2_000);
  const lines: string[] = [];
  const note = (_: object, message: string): void => void lines.push(message);
  const logger: Logger = { ...silentLogger, info: note, warn: note };
  const replicas = await Promise.all([1, 2, 3].map(() => startReplica(t, { url: redis.url, truth, logger })));
  const [first, second] = replicas as [Replica, Replica, Replica];
  const before = rebuilds(replicas);
  lines.length = 0;
  await redis.kill();
  await waitFor(() => replicas.every(({ mirror }) => mirror.state.name === 'degraded'));
  await claim(first.service, connection(500), registrations('born-without-redis'), signal);
  for (let look = 0; look < 50; look += 1) {
    t.equal((await second.service.resolve('account-0000007', signal))?.version, 1);
    t.match(await second.service.resolve('born-without-redis', signal), { assignments: [{ epoch: 500 }] });
  }
  await redis.restart();
  for (const replica of replicas) await untilEqual(replica, truth);
  t.equal(rebuilds(replicas) - before, 1);
  t.equal(lines.filter((line) => line.includes('degraded')).length, 3, 'one line per replica, not per attempt');
  t.equal(await client(t, redis.url).hget(hash, 'born-without-redis'), '[1,[["agent-500","gateway-0",500,1]]]');
});

test('a Redis that came back with an old snapshot is brought up to date from SQL', async (t) => {
  const { url } = await redisDatabase(t);
  const truth = new TruthDouble();
  const first = await startReplica(t, { url, truth });
  const second = await startReplica(t, { url, truth });
  await claim(first.service, connection(1), registrations('a', 'b', 'c'), signal);
  await waitFor(() => first.mirror.statistics().pending === 0);
  const redis = client(t, url);
  const snapshot = await redis.dumpBuffer(hash);
  for (let epoch = 2; epoch < 6; epoch += 1) {
    await claim(first.service, connection(epoch, 'agent-1'), registrations('a', `late-${epoch}`), signal);
  }
  await untilEqual(second, truth);
  await waitFor(async () => (await redis.hget(hash, 'a'))?.startsWith('[5,'));
  const before = rebuilds([first, second]);
  await redis.restore(hash, 0, snapshot, 'REPLACE');
  await waitFor(async () => (await redis.hget(hash, 'a'))?.startsWith('[5,'));
  await waitFor(() => rebuilds([first, second]) === before + 1);
  await untilEqual(first, truth);
  await untilEqual(second, truth);
  t.equal(rebuilds([first, second]), before + 1);
  t.equal(await redis.hlen(hash), truth.accounts.size + 3);
});

test('a stalled connection delays nobody, is given up, and what was not sent is sent later', async (t) => {
  const { url } = await redisDatabase(t);
  const proxy = await startTcpProxy({ port: Number(new URL(url).port) });
  t.teardown(() => proxy.close());
  const redis = client(t, url);
  const truth = new TruthDouble();
  const near = await startReplica(t, { url, truth });
  const far = await startReplica(t, { url: `redis://127.0.0.1:${proxy.port}`, truth });
  proxy.stall();
  await claim(far.service, connection(1), registrations('a'), signal);
  t.not(far.mirror.state.name, 'degraded', 'the claim did not wait for Redis, not even until it was given up');
  await waitFor(() => far.mirror.state.name === 'degraded');
  t.equal(far.mirror.statistics().pending, 1);
  await claim(near.service, connection(2), registrations('b'), signal);
  await claim(near.service, connection(3, 'agent-1'), registrations('a'), signal);
  await waitFor(async () => (await redis.hget(hash, 'a'))?.startsWith('[2,'));
  t.match(await far.service.resolve('b', signal), { assignments: [{ epoch: 2 }] }, 'SQL answers meanwhile');
  await proxy.heal();
  await untilEqual(far, truth);
  await untilEqual(near, truth);
  await waitFor(() => far.mirror.statistics().pending === 0);
  t.match(await redis.hget(hash, 'a'), /^\[2,/, 'the late write did not win');
});

test('a cut connection is followed by a new subscription and a reload', async (t) => {
  const { url } = await redisDatabase(t);
  const proxy = await startTcpProxy({ port: Number(new URL(url).port) });
  t.teardown(() => proxy.close());
  const truth = new TruthDouble();
  const near = await startReplica(t, { url, truth });
  const far = await startReplica(t, { url: `redis://127.0.0.1:${proxy.port}`, truth });
  await proxy.cut();
  await waitFor(() => /not connected.*ECONNREFUSED/.test(far.mirror.state.reason ?? ''));
  t.equal(far.mirror.state.name, 'degraded');
  // Odd and even: the first claim of an account and its release are both missed.
  await claim(near.service, connection(2), registrations('b', 'c'), signal);
  await release(near.service, connection(2), ['b'], signal);
  await proxy.heal();
  await untilEqual(far, truth);
  t.equal(rebuilds([near, far]), 1, 'Redis itself had lost nothing');
});

test('more unsent changes than the outbox holds lead to a rebuild', async (t) => {
  const { url } = await redisDatabase(t);
  const proxy = await startTcpProxy({ port: Number(new URL(url).port) });
  t.teardown(() => proxy.close());
  const truth = new TruthDouble();
  const near = await startReplica(t, { url, truth });
  const far = await startReplica(t, {
    url: `redis://127.0.0.1:${proxy.port}`,
    truth,
    settings: { outboxAccounts: 100 },
  });
  await proxy.cut();
  await waitFor(() => far.mirror.state.name === 'degraded');
  const names = Array.from({ length: 150 }, (_, index) => `many-${index}`);
  await claim(far.service, connection(1), registrations(...names), signal);
  t.equal(far.mirror.statistics().pending, 0, 'dropped');
  await proxy.heal();
  await untilEqual(near, truth);
  await untilEqual(far, truth);
  t.match(far.mirror.statistics(), { overflows: 1 });
  t.equal(rebuilds([near, far]), 2);
});

test('the periodic comparison with SQL mends what is missing, old or too new in Redis, and removes what SQL has not', async (t) => {
  const { url } = await redisDatabase(t);
  const truth = new TruthDouble();
  truth.fill(10);
  const settings = { reconcileIntervalMs: 200 };
  const first = await startReplica(t, { url, truth, settings });
  const second = await startReplica(t, { url, truth, settings });
  const redis = client(t, url);
  await redis.hdel(hash, 'account-0000001');
  await redis.hset(hash, 'account-0000002', '[0,[]]', 'account-0000003', '[77,[]]', 'stranger', '[3,[]]');
  second.map.set({ account: 'account-0000003', version: 77, assignments: [] });
  truth.accounts.delete('account-0000004');
  for (const replica of [first, second]) await untilEqual(replica, truth);
  await waitFor(async () => (await redis.hlen(hash)) === truth.accounts.size + 3);
  t.match(await redis.hget(hash, 'account-0000003'), /^\[1,/);
  t.equal(rebuilds([first, second]), 1);
  const runs = (): number => first.mirror.statistics().reconciliations + second.mirror.statistics().reconciliations;
  const started = performance.now();
  const already = runs();
  await waitFor(() => runs() >= already + 3);
  t.ok(performance.now() - started > 2 * 150, 'one run per interval in the whole cluster');
});

test('a rebuild whose replica died is taken over when its lock expires', async (t) => {
  const { url } = await redisDatabase(t);
  const redis = client(t, url);
  await redis.set('{agent-gateway:ownership}:lock', 'somebody', 'PX', 1_000);
  const truth = new TruthDouble();
  truth.fill(5);
  const replica = await startReplica(t, { url, truth, settings: { startTimeoutMs: 200 } });
  t.equal(replica.mirror.state.name, 'loading', 'start went on without, and without a warning: it is being filled');
  t.match(await replica.service.resolve('account-0000001', signal), { version: 1 });
  await untilEqual(replica, truth);
});

test('a start without Redis is a warning, and Redis is taken up when it comes', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  await redis.kill();
  const truth = new TruthDouble();
  truth.fill(3);
  const warnings: unknown[] = [];
  const logger: Logger = { ...silentLogger, warn: (fields, message) => warnings.push({ fields, message }) };
  const replica = await startReplica(t, { url: redis.url, truth, logger, settings: { startTimeoutMs: 300 } });
  t.match(replica.mirror.state, { name: 'degraded', reason: /ECONNREFUSED/ });
  t.match(await replica.service.resolve('account-0000001', signal), { version: 1 });
  t.equal(warnings.length, 1);
  await redis.restart();
  await untilEqual(replica, truth);
});

test('stop sends what is pending and leaves no connection', async (t) => {
  const { url } = await redisDatabase(t);
  const truth = new TruthDouble();
  const replica = await startReplica(t, { url, truth });
  await claim(replica.service, connection(1), registrations('last-words'), signal);
  await replica.stop();
  const redis = client(t, url);
  t.match(await redis.hget(hash, 'last-words'), /^\[1,/);
  await waitFor(async () => ((await redis.client('LIST')) as string).trim().split('\n').length === 1);
});
