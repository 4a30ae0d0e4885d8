/** Options for Redis clients whose commands must fail fast: Redis is only a mirror, so nothing waits for it. */

import type { ClusterOptions, RedisOptions } from 'ioredis';
import { backoffMs, type Backoff } from '../../core/retry.js';

const reconnect: Backoff = { initialMs: 100, maximumMs: 5_000, multiplier: 1.6, jitter: 0.2 };

/** For `new Redis({...redisOptions, ...})`, single node and Sentinel; connect() must be called. */
export const redisOptions = {
  lazyConnect: true,
  connectTimeout: 2_000,
  // A page of a million accounts takes a few ms; a command that takes longer than this is considered lost.
  commandTimeout: 5_000,
  // A server that vanished without a word (half-open connection) is noticed by the next command.
  socketTimeout: 5_000,
  keepAlive: 10_000,
  // No queue while Redis is away: commands fail at once, and the callers know what to send again.
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  retryStrategy: (times: number): number => backoffMs(reconnect, times - 1),
} satisfies RedisOptions;

/** The same for `new Cluster(nodes, clusterOptions)`. */
export const clusterOptions = {
  lazyConnect: true,
  enableOfflineQueue: false,
  maxRedirections: 4,
  clusterRetryStrategy: redisOptions.retryStrategy,
  redisOptions: {
    connectTimeout: redisOptions.connectTimeout,
    commandTimeout: redisOptions.commandTimeout,
    socketTimeout: redisOptions.socketTimeout,
    keepAlive: redisOptions.keepAlive,
    maxRetriesPerRequest: 0,
  },
} satisfies ClusterOptions;
