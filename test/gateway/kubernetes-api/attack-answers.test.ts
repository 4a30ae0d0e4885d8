/** Attackers: an agent, or a pod behind its API server, whose answers HTTP does not allow. They harm nobody but their reader. */

import { connect as connectHttp2 } from 'node:http2';
import { test, type Test } from 'tap';
import type { TunnelAnswer, HeaderList } from '../../../src/tunnel/exchange.js';
import { waitFor } from '../../wait.js';
import { head, headOf, ok, prefix, rawClient, startServed, type Served } from './served.js';

interface Hostile {
  readonly name: string;
  readonly status?: number;
  readonly headers?: HeaderList;
  readonly body?: string;
  readonly trailers?: HeaderList;
  readonly method?: string;
  /** The gateway ends the agent's stream: no honest agent answers so. */
  readonly endsStream?: boolean;
}

const text = ['Content-Type', 'text/plain'];

const answers: readonly Hostile[] = [
  { name: 'longer than its Content-Length', headers: ['Content-Length', '2'], body: 'okHTTP/1.1 200 OK\r\n\r\n' },
  { name: 'shorter than its Content-Length', headers: ['Content-Length', '200'], body: 'ok' },
  { name: 'two lengths', headers: ['Content-Length', '2', 'content-length', '20'], body: 'ok', endsStream: true },
  { name: 'a length that is none', headers: ['Content-Length', '2, 2'], body: 'ok', endsStream: true },
  { name: 'a signed length', headers: ['Content-Length', '+2'], body: 'ok', endsStream: true },
  { name: 'a length and chunks', headers: ['Content-Length', '2', 'Transfer-Encoding', 'chunked'], body: 'ok' },
  { name: 'chunks of its own', headers: ['Transfer-Encoding', 'chunked'], body: '0\r\n\r\nHTTP/1.2 200 OK\r\n\r\n' },
  {
    name: 'a length and trailers',
    headers: ['Content-Length', '2', 'Trailer', 'X-A'],
    body: 'ok',
    trailers: ['X-A', 'b'],
  },
  { name: 'trailers of HEAD', method: 'HEAD', headers: ['Trailer', 'X-A'], trailers: ['X-A', 'b'] },
  { name: 'a body of HEAD', method: 'HEAD', headers: ['Content-Length', '2'], body: 'ok' },
  { name: 'trailers of 204', status: 204, headers: ['Trailer', 'X-A'], trailers: ['X-A', 'b'] },
  { name: 'a body of 204', status: 204, headers: text, body: 'HTTP/1.1 200 OK\r\n\r\n' },
  { name: 'a body of 304', status: 304, headers: text, body: 'HTTP/1.1 200 OK\r\n\r\n' },
  { name: 'several entity tags', headers: ['ETag', '"a"', 'etag', '"b"'], body: 'ok' },
  { name: 'several types', headers: [...text, ...text], body: 'ok' },
  { name: 'trailers of the connection', trailers: ['Connection', 'close', 'Transfer-Encoding', 'chunked'], body: 'ok' },
  { name: 'several trailers', trailers: ['ETag', '"a"', 'etag', '"b"'], body: 'ok' },
  { name: 'trailers of the head', trailers: ['Content-Length', '5', 'Set-Cookie', 'a=b'], body: 'ok' },
  { name: 'names of properties', headers: ['__proto__', 'a', 'constructor', 'b', 'toString', 'c'], body: 'ok' },
  { name: 'names of properties in trailers', trailers: ['__proto__', 'a', 'constructor', 'b'], body: 'ok' },
  {
    name: 'headers of the connection',
    headers: ['Connection', 'X-A', 'TE', 'a', 'Upgrade', 'h2c', 'X-A', 'b'],
    body: 'ok',
  },
  { name: 'a large header', headers: ['X-A', 'a'.repeat(200_000)], body: 'ok' },
  { name: 'many headers', headers: Array.from({ length: 20_000 }, () => 'a'), body: 'ok' },
  { name: 'a line break', headers: ['X-A', 'b\r\nX-C: d'], endsStream: true },
  { name: 'a name with a line break', headers: ['X-A: b\r\nX-C', 'd'], endsStream: true },
  { name: 'a name without a value', headers: ['X-A'], endsStream: true },
  { name: 'a pseudo header', headers: [':status', '200'], endsStream: true },
  { name: 'a trailer with a line break', trailers: ['X-A', 'b\r\nX-C: d'], body: 'ok', endsStream: true },
  { name: 'status 0', status: 0, endsStream: true },
  { name: 'status 99', status: 99, endsStream: true },
  { name: 'status 100', status: 100, endsStream: true },
  { name: 'status 101, unasked', status: 101, headers: ['Upgrade', 'websocket'], endsStream: true },
  { name: 'status 199', status: 199, endsStream: true },
  { name: 'status 600', status: 600, endsStream: true },
  { name: 'status 999', status: 999, endsStream: true },
];

function give(answer: TunnelAnswer, { status = 200, headers = [], body, trailers = [] }: Hostile): void {
  answer.respond({ status, headers });
  if (body !== undefined) answer.write(Buffer.from(body));
  answer.end(trailers);
}

async function start(t: Test): Promise<Served> {
  return startServed(t, {
    respond: ({ request, answer }) => {
      const index = /^\/hostile\/(\d+)/u.exec(request.target)?.[1];
      if (index !== undefined) give(answer, answers[Number(index)] as Hostile);
      else if (request.target !== '/held') ok(answer);
      return undefined;
    },
  });
}

test('what is not HTTP harms at most the request that it answers', async (t) => {
  const served = await start(t);
  /** Goes on all the time, unless its agent breaks the protocol. */
  const held = async () => {
    const count = served.arrived.length;
    const client = await rawClient(t, served.restPort);
    client.write(head('/held'));
    await waitFor(() => served.arrived.length > count);
    return client;
  };
  let other = await held();
  for (const [index, hostile] of answers.entries()) {
    const { name, method = 'GET', endsStream = false } = hostile;
    await t.test(name, async (t) => {
      for (const version of ['1.1', '1.0', '2']) {
        if (version === '2') {
          const session = connectHttp2(served.restUrl);
          session.on('error', () => undefined);
          const request = session.request({ ':method': method, ':path': `${prefix}/hostile/${String(index)}` });
          request.on('error', () => undefined);
          request.resume();
          await waitFor(() => request.closed, { timeoutMs: 5_000, description: 'the end of the stream' });
          session.destroy();
        } else {
          const client = await rawClient(t, served.restPort);
          client.write(headOf(method, `/hostile/${String(index)}`).replace('1.1', version));
          await waitFor(() => client.text !== '' || client.closed, { timeoutMs: 5_000, description: 'an answer' });
          // Its second answer has to be the one to its second request.
          client.write(head('/second', 'Connection: close'));
          await waitFor(() => client.closed, { timeoutMs: 5_000, description: 'the end' });
          const heads = client.text.match(/HTTP\/1\.1 \d+/gu) ?? [];
          t.ok(heads.length <= 2, `no answer that nobody asked for: ${client.text.slice(0, 1_000)}`);
          if (heads.length === 2) t.match(client.text, /\r\n\r\nok$/u);
          t.notMatch(client.text, /X-C: d|set-cookie/iu);
          client.socket.destroy();
        }
        if (!endsStream) continue;
        await waitFor(() => other.closed || other.text.includes('503'), { timeoutMs: 5_000 });
        other = await held();
      }
      t.equal(other.text, '', 'others go on');
      t.notOk(other.closed);
    });
  }
});
