/**
 * How many requests a caller may make in a second, to all instances together: counted in Redis, by principal or address.
 * Without Redis no request is refused: a limit that fails must not end the service that it protects.
 */

import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Redis } from 'ioredis';
import { GatewayError } from '../../core/errors.js';

export interface RequestRateOptions {
  /** 0: no limit. */
  readonly maxRequestsPerSecond: number;
  /** Absent: each instance counts for itself. */
  readonly redis: Redis | undefined;
  readonly redisPrefix: string;
}

/** Call this after the authentication hooks, and before the routes are registered. */
export async function limitRequestRate(
  app: FastifyInstance,
  { maxRequestsPerSecond, redis, redisPrefix }: RequestRateOptions,
): Promise<void> {
  if (maxRequestsPerSecond === 0) return;
  await app.register(rateLimit, {
    max: maxRequestsPerSecond,
    timeWindow: 1_000,
    skipOnError: true,
    nameSpace: `${redisPrefix}requests:`,
    ...(redis === undefined ? {} : { redis }),
    keyGenerator: callerOf,
    // Instances are limited by their queues, and probes must be answered.
    allowList: (request) => request.callingInstance !== undefined || request.routeOptions.config.role === 'public',
    errorResponseBuilder: (_request, { ttl }) =>
      new GatewayError('overloaded', 'too many requests from this caller (server.maxRequestsPerSecond)', {
        retryAfterMs: ttl,
      }),
  });
}

function callerOf(request: FastifyRequest): string {
  return request.caller?.principal ?? request.socket.remoteAddress ?? '';
}
