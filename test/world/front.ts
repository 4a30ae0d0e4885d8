/** What a Service of Kubernetes is to callers: one address, each connection to the next replica that is ready. */

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { Test } from 'tap';

export interface Front {
  readonly url: string;
  /** Where connections go from now on, "http://127.0.0.1:PORT"; open ones stay. */
  ready(urls: readonly string[]): void;
}

export async function startFront(t: Test): Promise<Front> {
  let urls: readonly string[] = [];
  let next = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const url = urls[(next += 1) % urls.length];
    const peer = connect(Number(new URL(url ?? 'http://127.0.0.1:1').port), '127.0.0.1');
    for (const [one, other] of [
      [socket, peer],
      [peer, socket],
    ] as const) {
      sockets.add(one);
      one.setNoDelay(true);
      one.pipe(other);
      one.on('error', () => undefined);
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    ready(now) {
      urls = now;
    },
  };
}
