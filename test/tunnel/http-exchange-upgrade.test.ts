/** Exchanges over HTTP/1.1 whose connection changes to another protocol. */

import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { test } from 'tap';
import { readerWindowBytes } from '../../src/tunnel/window.js';
import { waitFor } from '../wait.js';
import { exchange, fails, mebibyte, startServer } from './http-exchanges.js';

test('an upgrade, in both directions, each with its own end', async (t) => {
  for (const [method, protocol] of [
    ['GET', 'websocket'],
    ['POST', 'SPDY/3.1'],
  ] as const) {
    const { origin, server } = await startServer(t, () => undefined);
    const upgraded = once(server, 'upgrade') as Promise<[IncomingMessage, Socket, Buffer]>;
    const headers = ['Sec-WebSocket-Key', 'a2V5', 'X-Stream-Protocol-Version', 'v4', 'X-Stream-Protocol-Version', 'v3'];
    const { exchange: opened, events, head } = exchange(t, origin, { method, upgrade: protocol, headers });
    t.notOk(opened.write(Buffer.from('early')), 'kept until there is a connection');
    const [request, socket] = await upgraded;
    t.match(request, { method, headers: { upgrade: protocol, connection: 'upgrade', 'sec-websocket-key': 'a2V5' } });
    t.match(request.headers['x-stream-protocol-version'], 'v4, v3');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nSec-WebSocket-Accept: x\r\n\r\nhello`,
    );
    t.strictSame(await head, { status: 101, headers: ['Upgrade', protocol, 'Sec-WebSocket-Accept', 'x'] });
    let received = '';
    socket.on('data', (data: Buffer) => (received += data.toString()));
    await waitFor(() => received === 'early');
    await waitFor(() => events.join() === 'drain,hello', { description: 'hello' });
    socket.end('bye');
    await waitFor(() => events.at(-1) === 'end');
    opened.write(Buffer.from(', still here'));
    await waitFor(() => received === 'early, still here');
    opened.end();
    await once(socket, 'close');
    t.strictSame(
      events.filter((event) => event.startsWith('failed')),
      [],
    );
    server.close();
  }
});

test('an upgraded connection: flow control, failure and cancel()', async (t) => {
  const { origin, server } = await startServer(t, () => undefined);
  const open = async (onData?: (data: Uint8Array) => void) => {
    const upgraded = once(server, 'upgrade') as Promise<[IncomingMessage, Socket, Buffer]>;
    const started = exchange(t, origin, { upgrade: 'x' }, onData === undefined ? {} : { onData });
    const [, socket] = await upgraded;
    socket.on('error', () => undefined);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    await started.head;
    return { ...started, socket };
  };
  let given = 0;
  const reading = await open((data) => (given += data.length));
  reading.socket.write(Buffer.alloc(20 * mebibyte));
  await waitFor(() => given === readerWindowBytes);
  reading.exchange.consumed(100_000);
  await waitFor(() => given === readerWindowBytes + 100_000);
  let more = true;
  for (let count = 0; count < 1_000 && more; count += 1) more = reading.exchange.write(Buffer.alloc(65_536));
  t.notOk(more, 'a server that does not read');
  reading.socket.resume();
  await waitFor(() => reading.events.includes('drain'));
  reading.exchange.cancel('gone');
  await waitFor(() => reading.socket.closed, { timeoutMs: 1_000 });

  const broken = await open();
  broken.socket.resetAndDestroy();
  await fails(t, broken.answer, 'sent', 'a connection that breaks');
});

test('an upgrade that is refused has a normal answer', async (t) => {
  const { origin, server, connections } = await startServer(t, () => undefined);
  server.on('upgrade', (_request, socket) => {
    const body = '{"kind":"Status","code":403}';
    socket.end(`HTTP/1.1 403 Forbidden\r\nContent-Length: ${String(body.length)}\r\nX-A: b\r\n\r\n${body}`);
  });
  const started = exchange(t, origin, { method: 'POST', upgrade: 'SPDY/3.1', headers: ['Content-Length', '0'] });
  started.exchange.write(Buffer.from('early'));
  const { status, body } = await started.answer;
  t.match([status, body.toString()], [403, '{"kind":"Status","code":403}']);
  t.equal(connections(), 1);
});
