/** Is Redis there, new enough, does pub/sub work, and will it keep what it is given? */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import type { Config } from '../../gateway/config/config.js';
import { withoutCredentials } from '../../gateway/config/url.js';
import { examine, failed, ok, warning, type Finding, type CheckOutcome } from './finding.js';

const minimumMajor = 6;

/** The findings one after the other; the first failure to connect is the last of them. Nothing without Redis. */
export async function* examineRedis({ redis, kubesvc }: Config, signal: AbortSignal): AsyncGenerator<Finding> {
  const { connection, password, keyPrefix } = redis;
  if (connection === undefined) return;
  const client = new Redis(connection, {
    ...(password === undefined ? {} : { password }),
    lazyConnect: true,
    connectTimeout: 5_000,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  });
  // Connecting rejects with the reason below.
  let lastError: Error | undefined;
  client.on('error', (error: Error) => (lastError = error));
  try {
    let info = new Map<string, string>();
    const remedy = 'Check redis.connection and redis.password, and that the network lets this machine through.';
    yield await examine('redis', remedy, signal, async () => {
      await client.connect().catch((error: unknown) => {
        throw lastError ?? error;
      });
      info = parseInfo(await client.info());
      return ok(`${withoutCredentials(connection)} answers`);
    });
    if (info.size === 0) return;
    yield { check: 'redis version', ...versionOutcome(info.get('redis_version') ?? 'unknown') };
    yield { check: 'redis memory', ...memoryOutcome(info, kubesvc.cluster === 'redis') };
    const channelRemedy = `Allow the user SUBSCRIBE and PUBLISH on channels that start with ${keyPrefix} (ACL SETUSER).`;
    yield await examine('redis pub/sub', channelRemedy, signal, (limit) => pubSubOutcome(client, keyPrefix, limit));
  } finally {
    client.disconnect();
  }
}

async function pubSubOutcome(client: Redis, keyPrefix: string, signal: AbortSignal): Promise<CheckOutcome> {
  const channel = `${keyPrefix}doctor:${randomBytes(6).toString('hex')}`;
  const subscriber = client.duplicate();
  subscriber.on('error', () => undefined);
  try {
    await subscriber.connect();
    await subscriber.subscribe(channel);
    const message = once(subscriber, 'message', { signal });
    await Promise.all([message, client.publish(channel, 'hello')]);
    return ok('a test message arrived');
  } finally {
    subscriber.disconnect();
  }
}

export function versionOutcome(version: string): CheckOutcome {
  const major = Number.parseInt(version, 10);
  if (major >= minimumMajor) return ok(`Redis ${version}`);
  return failed(`Redis ${version}`, `Use Redis ${String(minimumMajor)} or newer.`);
}

/**
 * Redis evicts keys only when a limit of memory is set (redis.conf, maxmemory-policy). Evicted mirrors are read again
 * from SQL, but an evicted member of a cluster through Redis is a member that is gone.
 */
export function memoryOutcome(info: ReadonlyMap<string, string>, members: boolean): CheckOutcome {
  const policy = info.get('maxmemory_policy') ?? 'unknown';
  const limit = info.get('maxmemory_human') ?? 'unknown';
  if (info.get('maxmemory') === '0') return ok('no memory limit, so nothing is evicted');
  const found = `maxmemory ${limit}, maxmemory-policy ${policy}`;
  if (policy === 'noeviction') return ok(found);
  const remedy = 'Set maxmemory-policy to noeviction, or give the gateway a Redis of its own.';
  return members ? failed(found, remedy) : warning(found, remedy);
}

/** The lines `name:value` of INFO. */
function parseInfo(text: string): Map<string, string> {
  const lines = text.split('\r\n').map((line) => /^(\w+):(.*)$/.exec(line));
  return new Map(
    lines.flatMap((match): [string, string][] => (match === null ? [] : [[match[1] ?? '', match[2] ?? '']])),
  );
}
