/** What `doctor` says of Redis, against a private one and against nothing. */

import { Redis } from 'ioredis';
import { test } from 'tap';
import { examineRedis, memoryOutcome, versionOutcome } from '../../src/commands/doctor/redis.js';
import { freePort } from '../free-port.js';
import { startRedis } from '../services/redis.js';
import { waitFor } from '../wait.js';
import { brief, collect, configured } from './configured.js';

const { signal } = new AbortController();

test('without Redis there is nothing to say', async (t) => {
  t.same(await collect(examineRedis(configured(), signal)), []);
});

test('a Redis that works, evicts, wants a password, forbids channels', async (t) => {
  const service = await startRedis();
  const admin = new Redis(service.url);
  t.teardown(async () => {
    admin.disconnect();
    await service.stop();
  });
  const config = configured(`--redis.connection=${service.url}`);

  const findings = await collect(examineRedis(config, signal));
  t.same(brief(findings), ['ok redis', 'ok redis version', 'ok redis memory', 'ok redis pub/sub']);
  t.match(findings[1]?.found, /^Redis \d+\.\d+/);
  const onlyAdmin = async () => /^[^\n]*\n$/.test(String(await admin.call('CLIENT', 'LIST')));
  await waitFor(onlyAdmin, { description: 'the end of all connections but this one' });
  t.same(await admin.keys('*'), []);

  await admin.config('SET', 'maxmemory', '100mb', 'maxmemory-policy', 'allkeys-lru');
  const evicting = await collect(examineRedis(config, signal));
  t.match(evicting[2], { status: 'warning', found: 'maxmemory 100.00M, maxmemory-policy allkeys-lru' });

  await admin.call('ACL', 'SETUSER', 'quiet', 'on', '>hunter2', '+@all', '~*', 'resetchannels');
  const quiet = service.url.replace('redis://', 'redis://quiet:hunter2@');
  const forbidden = await collect(examineRedis(configured(`--redis.connection=${quiet}`), signal));
  t.match(forbidden[3], { status: 'failed', found: /^NOPERM/, remedy: /channels that start with kubesvc:/ });

  await admin.config('SET', 'requirepass', 'hunter3');
  const refused = await collect(examineRedis(config, signal));
  t.match(refused, [{ check: 'redis', status: 'failed', found: /^NOAUTH/, remedy: /redis\.password/ }]);
  const wrong = await collect(
    examineRedis(configured(`--redis.connection=${service.url}`, '--redis.password=hunter4'), signal),
  );
  t.match(wrong, [{ status: 'failed', found: /^WRONGPASS/ }]);
  const right = await collect(
    examineRedis(configured(`--redis.connection=${service.url}`, '--redis.password=hunter3'), signal),
  );
  t.match(right[0], { status: 'ok' });
  t.notMatch(JSON.stringify([forbidden, refused, wrong, right]), /hunter/);
});

test('a Redis that is not there', async (t) => {
  const port = String(await freePort());
  const findings = await collect(
    examineRedis(configured(`--redis.connection=redis://:hunter2@127.0.0.1:${port}`), signal),
  );
  t.match(findings, [{ check: 'redis', status: 'failed', found: `connect ECONNREFUSED 127.0.0.1:${port}` }]);
  t.notMatch(JSON.stringify(findings), /hunter/);
});

test('the policy of memory counts with a limit, and more where members are kept in Redis', (t) => {
  const info = (maxmemory: string, policy: string) =>
    new Map([
      ['maxmemory', maxmemory],
      ['maxmemory_policy', policy],
    ]);
  t.equal(memoryOutcome(info('0', 'allkeys-lru'), true).status, 'ok');
  t.equal(memoryOutcome(info('1', 'noeviction'), true).status, 'ok');
  t.equal(memoryOutcome(info('1', 'volatile-ttl'), false).status, 'warning');
  t.equal(memoryOutcome(info('1', 'volatile-ttl'), true).status, 'failed');
  t.equal(versionOutcome('5.0.14').status, 'failed');
  t.equal(versionOutcome('unknown').status, 'failed');
  t.equal(versionOutcome('7.2.1').status, 'ok');
  t.end();
});
