/** A private Redis server for tests. */

import { dirname } from 'node:path';
import { Redis } from 'ioredis';
import { Service, type ServiceKind, type ServiceOptions } from './service.js';

const redis: ServiceKind = {
  name: 'redis',
  command: (directory, port) => [
    ...['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--dir', dirname(directory)],
    ...['--save', '', '--appendonly', 'no'],
  ],
  stopSignal: 'SIGTERM',
  probe: async (port) => {
    const client = new Redis(url(port), { lazyConnect: true, retryStrategy: () => null, connectTimeout: 2_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.ping();
    } finally {
      client.disconnect();
    }
  },
  url,
};

function url(port: number): string {
  return `redis://127.0.0.1:${port}`;
}

/** Starts an empty Redis server; it keeps everything in memory, so kill(), stop() and restart() lose its content. */
export function startRedis(options: ServiceOptions = {}): Promise<Service> {
  return Service.start(redis, options);
}
