/** Makes what a replica stands on, as the configuration names it: Redis, discovery, the schema of the database. */

import { Redis } from 'ioredis';
import type { Logger } from '../../core/logger.js';
import type { Environment } from '../../core/environment.js';
import { GatewayError } from '../../core/errors.js';
import type { Discovery } from '../../discovery/discovery.js';
import { LocalDiscovery } from '../../discovery/local.js';
import { openDatabase } from '../../store/sql/database.js';
import { migrate } from '../../store/migrations/migrate.js';
import { redisOptions } from '../../store/mirror/redis-options.js';
import type { Config } from '../config/config.js';
import { databaseOptions } from '../config/database-options.js';
import type { PeerTls } from '../peers/peer-address.js';

/** A client that is not connected yet; undefined where no Redis is configured. */
export function createRedis({ redis }: Config): Redis | undefined {
  if (redis.connection === undefined) return undefined;
  const { password } = redis;
  return new Redis(redis.connection, { ...redisOptions, ...(password === undefined ? {} : { password }) });
}

/** Imports only what the chosen way of discovery needs: each has clients of its own. */
export async function createDiscovery(
  config: Config,
  redis: Redis | undefined,
  tls: () => PeerTls,
  logger: Logger,
  environment: Environment,
): Promise<Discovery> {
  const self = config.instance;
  switch (config.kubesvc.cluster) {
    case 'local':
      return new LocalDiscovery({ self, logger });
    case 'static': {
      const { StaticDiscovery } = await import('../../discovery/static.js');
      return new StaticDiscovery({ self, logger, baseUrls: config.kubesvc['cluster-static'].instances, tls });
    }
    case 'redis': {
      if (redis === undefined)
        throw new GatewayError('configuration', 'redis.connection: expected a URL, because kubesvc.cluster is redis', {
          field: 'redis.connection',
        });
      const { RedisDiscovery } = await import('../../discovery/redis.js');
      const ttlMs = config.kubesvc['cluster-redis'].timeToLiveSeconds * 1_000;
      return new RedisDiscovery({ self, logger, redis, ttlMs, prefix: config.redis.keyPrefix });
    }
    case 'kubernetes': {
      const { KubernetesDiscovery } = await import('../../discovery/kubernetes.js');
      const scheme = config.server.ssl.enabled ? 'https' : 'http';
      return new KubernetesDiscovery({ ...config.kubesvc['cluster-kubernetes'], environment, logger, scheme });
    }
  }
}

/** As the user of sql.migration, who alone may change tables. */
export async function migrateAsOther(config: Config, logger: Logger, signal: AbortSignal): Promise<void> {
  const database = openDatabase(await databaseOptions(config, 'migration'));
  try {
    await migrate(database, { logger, signal });
  } finally {
    await database.close();
  }
}
