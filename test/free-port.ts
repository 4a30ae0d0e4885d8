/** TCP ports for tests. */

import { createServer } from 'node:net';
import { once } from 'node:events';

/** Test files that run at the same time look in different places: one may restart a server on its port. */
const slots = 100;
const slotSize = 200;
/** Each time the next one, so that no port is given twice. */
let next = Math.floor(Math.random() * slotSize);

/**
 * A port on 127.0.0.1 that nobody listens on. It lies below the range that the kernel takes outgoing ports from
 * (32768 and up), so that a server can be restarted on it without finding it taken by somebody's connection.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    next = (next + 1) % slotSize;
    const port = 12_000 + (process.pid % slots) * slotSize + next;
    if (await bindable(port)) return port;
  }
  throw new Error('no free port found in 100 attempts');
}

async function bindable(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
