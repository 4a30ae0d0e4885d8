/** The proxy that other tests break connections with. */

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'tap';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js';
import { waitFor } from './wait.js';

interface TestWithTeardown {
  teardown(release: () => Promise<void> | void): unknown;
}

/** A server that sends back what it gets, and a proxy before it. */
async function echoBehindProxy(t: TestWithTeardown): Promise<TcpProxy> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = await startTcpProxy({ port: (server.address() as AddressInfo).port });
  t.teardown(async () => {
    await proxy.close();
    server.close();
  });
  return proxy;
}

interface Client {
  readonly socket: Socket;
  received: string;
  error: NodeJS.ErrnoException | undefined;
}

async function clientOf(proxy: TcpProxy): Promise<Client> {
  const socket = connect(proxy.port, proxy.host);
  const client: Client = { socket, received: '', error: undefined };
  socket.setEncoding('utf8').on('data', (text: string) => (client.received += text));
  socket.on('error', (error) => (client.error = error));
  await once(socket, 'connect');
  return client;
}

test('data and the end of a connection pass in both directions', async (t) => {
  const proxy = await echoBehindProxy(t);
  const client = await clientOf(proxy);
  const large = 'x'.repeat(5_000_000);
  client.socket.end(large);
  await once(client.socket, 'close');
  t.equal(client.received.length, large.length);
  await waitFor(() => proxy.connections === 0, { description: 'the connection to be forgotten' });
});

test('cut resets connections and refuses new ones on the same port until heal', async (t) => {
  const proxy = await echoBehindProxy(t);
  const client = await clientOf(proxy);
  client.socket.write('before');
  await waitFor(() => client.received === 'before', { description: 'the echo' });
  t.equal(proxy.connections, 1);
  const { port } = proxy;
  await proxy.cut();
  await waitFor(() => client.socket.destroyed, { description: 'the connection to end' });
  t.equal(client.error?.code, 'ECONNRESET');
  t.equal(proxy.connections, 0);
  await t.rejects(clientOf(proxy), { code: 'ECONNREFUSED' });
  await proxy.heal();
  t.equal(proxy.port, port);
  const again = await clientOf(proxy);
  again.socket.end('after');
  await once(again.socket, 'close');
  t.equal(again.received, 'after');
});

test('stall holds data back in both directions with the connection open, and heal lets it pass', async (t) => {
  const proxy = await echoBehindProxy(t);
  const client = await clientOf(proxy);
  client.socket.write('1');
  await waitFor(() => client.received === '1', { description: 'the first echo' });
  proxy.stall();
  const late = await clientOf(proxy);
  client.socket.write('2');
  late.socket.write('3');
  await t.rejects(
    waitFor(() => client.received !== '1' || late.received !== '', { timeoutMs: 150, description: 'data' }),
    { message: 'timed out after 150 ms waiting for data' },
  );
  t.equal(client.error, undefined);
  await proxy.heal();
  await waitFor(() => client.received === '12' && late.received === '3', { description: 'what was held back' });
  client.socket.destroy();
  late.socket.destroy();
});

test('delay holds every piece of data back, in order', async (t) => {
  const proxy = await echoBehindProxy(t);
  const client = await clientOf(proxy);
  proxy.delay(60);
  const started = performance.now();
  client.socket.write('1');
  await waitFor(() => client.received === '1', { description: 'the echo' });
  const elapsed = performance.now() - started;
  t.ok(elapsed >= 120, `both directions were delayed (${elapsed.toFixed(0)} ms)`);
  client.socket.write('2');
  await waitFor(() => proxy.connections === 1, { description: 'the connection' });
  proxy.delay(0);
  client.socket.end('3');
  await once(client.socket, 'close');
  t.equal(client.received, '123');
});

test('waitFor gives the value, tells why it failed, and bounds a look that hangs', async (t) => {
  let looks = 0;
  t.equal(await waitFor(() => (looks++ < 2 ? undefined : 'there')), 'there');
  t.equal(await waitFor(() => 0), 0);
  const broken = (): boolean => {
    throw new Error('not listening');
  };
  await t.rejects(waitFor(broken, { timeoutMs: 50, description: 'the port' }), {
    message: 'timed out after 50 ms waiting for the port',
    cause: { message: 'not listening' },
  });
  await t.rejects(
    waitFor(() => new Promise<never>(() => undefined), { timeoutMs: 50, description: 'an answer' }),
    {
      message: /waiting for an answer/,
    },
  );
});

test('cut unnoticed: the target sees a reset, the client hears nothing until heal', async (t) => {
  let reset = false;
  const server = createServer((socket) => {
    socket.on('error', () => (reset = true));
    socket.resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = await startTcpProxy({ port: (server.address() as AddressInfo).port });
  t.teardown(async () => {
    await proxy.close();
    server.close();
  });
  const [client, leaving] = [await clientOf(proxy), await clientOf(proxy)];
  await waitFor(() => proxy.connections === 2);
  proxy.cutUnnoticed();
  await waitFor(() => reset, { description: 'the target to see it' });
  client.socket.write('into the void');
  await t.rejects(clientOf(proxy), { code: 'ECONNREFUSED' });
  t.equal(client.error, undefined);
  leaving.socket.end();
  await waitFor(() => proxy.connections === 1, { description: 'one that leaves by itself to be forgotten' });
  t.equal(client.error, undefined);
  await proxy.heal();
  await waitFor(() => client.error?.code === 'ECONNRESET');
  await waitFor(() => proxy.connections === 0);
  t.equal((await clientOf(proxy)).error, undefined);
});
