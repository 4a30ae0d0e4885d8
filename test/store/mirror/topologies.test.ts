/** The mirror on a Redis Cluster, and on a primary that Sentinel replaces. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster, Redis } from 'ioredis';
import { test } from 'tap';
import { clusterOptions, redisOptions } from '../../../src/store/mirror/redis-options.js';
import { freePort } from '../../free-port.js';
import type { TestWithTeardown } from '../../services/databases.js';
import { startRedis } from '../../services/redis.js';
import type { Service } from '../../services/service.js';
import { waitFor } from '../../wait.js';
import { connection, registrations, startReplica, TruthDouble, untilEqual } from './replicas.js';

const signal = AbortSignal.timeout(120_000);

async function start(t: TestWithTeardown, ...args: string[]): Promise<{ service: Service; redis: Redis }> {
  const service = await startRedis({ args });
  const redis = new Redis(service.url);
  redis.on('error', () => undefined);
  t.teardown(async () => {
    redis.disconnect();
    await service.stop();
  });
  return { service, redis };
}

test('the mirror works on a Redis Cluster', async (t) => {
  const node = async (): Promise<{ service: Service; redis: Redis }> => {
    const busPort = String(await freePort());
    return start(t, '--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--cluster-port', busPort);
  };
  const [one, two] = [await node(), await node()];
  await one.redis.call('CLUSTER', 'ADDSLOTSRANGE', '0', '8191');
  await two.redis.call('CLUSTER', 'ADDSLOTSRANGE', '8192', '16383');
  const [, busPort] = /cluster-port\n(\d+)/.exec((await two.redis.config('GET', 'cluster-port')).join('\n')) ?? [];
  await one.redis.call('CLUSTER', 'MEET', '127.0.0.1', String(two.service.port), String(busPort));
  for (const { redis } of [one, two]) {
    await waitFor(async () => /cluster_state:ok/.test(String(await redis.cluster('INFO'))));
  }
  const truth = new TruthDouble();
  truth.fill(1_200);
  const nodes = [{ host: '127.0.0.1', port: one.service.port }];
  const first = await startReplica(t, { truth, redis: new Cluster(nodes, clusterOptions) });
  const second = await startReplica(t, { truth, redis: new Cluster(nodes, clusterOptions) });
  await untilEqual(first, truth);
  await first.service.claim(connection(1), registrations('a'), signal);
  await second.service.claim(connection(2), registrations('a', 'b'), signal);
  await untilEqual(first, truth);
  await untilEqual(second, truth);
  // Both subscribers move to a new connection; what was missed is found.
  for (const { redis } of [one, two]) await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await second.service.release(connection(2), ['a'], signal);
  await untilEqual(first, truth);
  await untilEqual(second, truth);
  t.equal(first.mirror.statistics().rebuilds + second.mirror.statistics().rebuilds, 1);
});

test('the mirror follows Sentinel to another primary', async (t) => {
  const primary = await start(t);
  const replica = await start(t, '--replicaof', '127.0.0.1', String(primary.service.port));
  await waitFor(async () => /master_link_status:up/.test(await replica.redis.info('replication')));
  const sentinelPort = await freePort();
  await startSentinel(t, sentinelPort, primary.service.port);
  const sentinel = new Redis(sentinelPort);
  t.teardown(() => {
    sentinel.disconnect();
    return Promise.resolve();
  });
  await waitFor(async () => ((await sentinel.call('SENTINEL', 'REPLICAS', 'primary')) as unknown[]).length === 1);

  const truth = new TruthDouble();
  truth.fill(100);
  const sentinels = [{ host: '127.0.0.1', port: sentinelPort }];
  const redis = new Redis({ ...redisOptions, sentinels, name: 'primary', retryStrategy: () => 50 });
  const mirrored = await startReplica(t, { truth, redis });
  await untilEqual(mirrored, truth);
  await mirrored.service.claim(connection(1), registrations('a'), signal);
  await primary.service.kill();
  await waitFor(() => mirrored.mirror.state.name === 'degraded');
  await mirrored.service.claim(connection(2), registrations('b'), signal);
  await waitFor(async () => (await replica.redis.role())[0] === 'master');
  await untilEqual(mirrored, truth, 15_000);
  await waitFor(() => mirrored.mirror.statistics().pending === 0);
  t.match(await replica.redis.hget('{agent-gateway:ownership}:accounts', 'b'), /^\[1,/);
});

async function startSentinel(t: TestWithTeardown, port: number, primaryPort: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-sentinel-'));
  const file = join(directory, 'sentinel.conf');
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${directory}`,
    `sentinel monitor primary 127.0.0.1 ${primaryPort} 1`,
    'sentinel down-after-milliseconds primary 500',
    'sentinel failover-timeout primary 5000',
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  const child = spawn('setpriv', ['--pdeathsig=KILL', '--', 'redis-server', file, '--sentinel'], { stdio: 'ignore' });
  t.teardown(async () => {
    const ended = child.exitCode === null ? once(child, 'exit') : undefined;
    child.kill('SIGKILL');
    await ended;
    await rm(directory, { recursive: true, force: true });
  });
}
