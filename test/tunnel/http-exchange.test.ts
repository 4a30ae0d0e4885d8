/** Exchanges over HTTP/1.1: what passes, what is kept back, how failures are told. */

import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { Agent } from 'undici';
import { waitFor } from '../wait.js';
import { agent, exchange, fails, startRaw, startServer, text } from './http-exchanges.js';

test('a request and its answer pass as they are', async (t) => {
  const raw = await startRaw(t, (socket, request) => {
    if (!request.includes('\r\n\r\n')) return;
    socket.write('HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n');
    socket.write(
      'HTTP/1.1 202 Accepted\r\nX-One: 1\r\nx-one: \xe9\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n',
      'latin1',
    );
    socket.write('Keep-Alive: timeout=9\r\nTE: x\r\nWarning: 299 - "a"\r\nContent-Length: 2\r\n\r\nok');
  });
  const target = '/api//v1/%2f/../a%20b;c?x=%zz&x=1&watch';
  const headers = [
    ...['Accept', 'a/b', 'Accept', 'c/d', 'X-Latin', '\xfc', 'Connection', 'close', 'Keep-Alive', 'x'],
    ...['Transfer-Encoding', 'chunked', 'Expect', '100-continue', 'Host', 'elsewhere', 'Upgrade', 'h2c'],
  ];
  const { answer } = exchange(
    t,
    raw.origin,
    { target, headers },
    { pathPrefix: '/pre/fix', first: { complete: true } },
  );
  const { status, headers: received, body } = await answer;
  t.equal(status, 202, 'informational answers are not given');
  t.strictSame(received, ['X-One', '1', 'x-one', '\xe9', 'Warning', '299 - "a"', 'Content-Length', '2']);
  t.equal(body.toString(), 'ok');
  t.equal(
    raw.received(),
    `GET /pre/fix${target} HTTP/1.1\r\nhost: ${raw.origin.slice(7)}\r\nconnection: keep-alive\r\n` +
      'Accept: a/b\r\nAccept: c/d\r\nX-Latin: \xfc\r\n\r\n',
  );
});

test('bodies keep their length, or are sent in chunks', async (t) => {
  const seen: string[] = [];
  const { origin, requests } = await startServer(t, (request, response) => {
    void text(request).then(
      (body) => {
        const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
        seen.push(`${request.method ?? ''} ${length ?? encoding ?? '-'} ${body}`);
        response.end();
      },
      () => undefined,
    );
  });
  for (const method of ['POST', 'DELETE', 'GET']) {
    const known = exchange(t, origin, { method, headers: ['Content-Length', '6'] });
    known.exchange.write(Buffer.from('abc'));
    known.exchange.write(Buffer.from('def'));
    known.exchange.end();
    await known.answer;
    const unknown = exchange(t, origin, { method }, { first: { body: Buffer.from('ab'), complete: false } });
    const before = requests.length;
    await waitFor(() => requests.length > before);
    unknown.exchange.write(Buffer.from('c'));
    unknown.exchange.end();
    await unknown.answer;
    await exchange(t, origin, { method }, { first: { body: Buffer.from('abc'), complete: true } }).answer;
    await exchange(t, origin, { method }, { first: { complete: true } }).answer;
  }
  t.strictSame(
    seen,
    ['POST', 'DELETE', 'GET'].flatMap((method) => [
      ...[`${method} 6 abcdef`, `${method} chunked abc`, `${method} 3 abc`],
      method === 'POST' ? 'POST 0 ' : `${method} - `,
    ]),
  );
  const wrong = async (beforeThe: 'request' | 'end') => {
    const short = exchange(t, origin, { method: 'POST', headers: ['Content-Length', '6'] });
    short.exchange.write(Buffer.from('abc'));
    const before = requests.length;
    if (beforeThe === 'end') await waitFor(() => requests.length > before);
    short.exchange.end();
    return short.answer;
  };
  await fails(t, wrong('request'), 'unsent', 'a body of another length than was said, known before it was sent');
  await fails(t, wrong('end'), 'sent', 'a body of another length than was said');
});

test('answers of every form', async (t) => {
  const packed = gzipSync('packed');
  const { origin } = await startServer(t, (request, response) => {
    if (request.url === '/gzip') response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed);
    if (request.url === '/204') response.writeHead(204).end();
    if (request.url === '/304') response.writeHead(304, { etag: '"x"' }).end();
    if (request.url === '/chunks') {
      response.writeHead(200, { trailer: 'X-Sum' });
      response.write('one');
      response.addTrailers({ 'X-Sum': '1', 'X-More': '2' });
      response.end('two');
    }
    if (request.url === '/head') response.writeHead(200, { 'content-length': '1000' }).end();
    if (request.url === '/500') response.writeHead(500).end('wrong');
  });
  const get = (target: string, method = 'GET') =>
    exchange(t, origin, { method, target }, { first: { complete: true } }).answer;
  t.strictSame((await get('/gzip')).body, packed, 'nothing is unpacked');
  t.match(await get('/204'), { status: 204, body: Buffer.alloc(0) });
  t.match(await get('/304'), { status: 304, body: Buffer.alloc(0) });
  t.match(await get('/head', 'HEAD'), { status: 200, body: Buffer.alloc(0) });
  const chunks = await get('/chunks');
  t.equal(chunks.body.toString(), 'onetwo');
  t.strictSame(chunks.trailers, ['X-Sum', '1', 'X-More', '2']);
  t.match(await get('/500'), { status: 500 });
});

test('wrong framing and a connection that breaks fail the exchange', async (t) => {
  const answers = [
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
    'nonsense\r\n\r\n',
    '',
  ];
  for (const text of answers) {
    const raw = await startRaw(t, (socket) => socket.end(text));
    const { answer } = exchange(t, raw.origin, {}, { first: { complete: true } });
    await fails(t, answer, 'sent', JSON.stringify(text));
  }
});

test('what was not sent is told apart', async (t) => {
  const { origin, server } = await startServer(t, (_request, response) => response.end());
  server.close();
  await once(server, 'close');
  await fails(t, exchange(t, origin).answer, 'unsent', 'nobody listens');
  await fails(t, exchange(t, 'http://does-not-exist.invalid').answer, 'unsent', 'no such name');
  await fails(t, exchange(t, origin, { headers: ['a b', 'x'] }).answer, 'unsent', 'an invalid header');
  await fails(t, exchange(t, origin, { headers: ['a', 'x\r\ny: z'] }).answer, 'unsent', 'an invalid value');
  await fails(t, exchange(t, origin, { target: '/a b' }).answer, 'unsent', 'an invalid target');
  const destroyed = new Agent();
  await destroyed.destroy();
  await fails(t, exchange(t, origin, {}, { dispatcher: destroyed }).answer, 'unsent', 'credentials that are gone');
});

test('a kept connection that the server closes: nothing is sent twice', async (t) => {
  let requests = 0;
  const raw = await startRaw(t, (socket) => {
    requests += 1;
    if (requests === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    else socket.destroy();
  });
  const options = { dispatcher: agent(t), first: { complete: true } };
  await exchange(t, raw.origin, {}, options).answer;
  // undici uses a connection again one turn of the event loop later.
  await new Promise(setImmediate);
  await fails(t, exchange(t, raw.origin, {}, options).answer, 'sent', 'the second one');
  t.equal(requests, 2);
  t.equal(raw.connections(), 1, 'the second request used the first connection');
});

test('10,000 small requests reuse connections', async (t) => {
  const { origin, connections } = await startServer(t, (request, response) => {
    request.resume().on('end', () => response.end('ok'));
  });
  const dispatcher = agent(t);
  const one = async (count: number): Promise<void> => {
    const method = count % 2 === 0 ? 'GET' : 'DELETE';
    const first = { body: Buffer.from(method === 'GET' ? '' : '{}'), complete: true };
    const { status } = await exchange(t, origin, { method }, { dispatcher, first }).answer;
    if (status !== 200) throw new Error(String(status));
  };
  const worker = async (): Promise<void> => {
    for (let count = 0; count < 1_000; count += 1) await one(count);
  };
  await Promise.all(Array.from({ length: 10 }, worker));
  t.ok(connections() <= 20, `${String(connections())} connections`);
});
