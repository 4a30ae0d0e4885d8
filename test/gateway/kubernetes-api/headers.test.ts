/** Which headers pass to API servers and back, and what clients cannot do with them. */

import { createServer, request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { test } from 'tap';
import {
  asksToImpersonate,
  bearerOf,
  requestHeaders,
  responseHeaders,
} from '../../../src/gateway/kubernetes-api/headers.js';

const passing = [
  ['Accept', 'application/json;as=Table;v=v1;g=meta.k8s.io, application/json'],
  ['accept-encoding', 'gzip'],
  ['Content-Type', 'application/apply-patch+yaml'],
  ['Content-Length', '12'],
  ['Content-Encoding', 'gzip'],
  ['If-None-Match', '"AB"'],
  ['Kubectl-Command', 'kubectl apply'],
  ['Kubectl-Session', '1'],
  ['User-Agent', 'kubectl/v1.35'],
  ['Sec-WebSocket-Key', 'x=='],
  ['Sec-WebSocket-Protocol', 'v5.channel.k8s.io, v4.channel.k8s.io'],
  ['X-Stream-Protocol-Version', 'v4.channel.k8s.io'],
  ['X-Stream-Protocol-Version', 'v3.channel.k8s.io'],
  ['Audit-ID', 'a'],
  ['Trailer', 'X-Sum'],
  ['X-Odd', '  \u00e4 '],
].flat();

const ending = [
  ['Connection', 'keep-alive, Upgrade'],
  ['Keep-Alive', 'timeout=5'],
  ['Proxy-Connection', 'keep-alive'],
  ['Proxy-Authorization', 'Basic eDp5'],
  ['TE', 'gzip'],
  ['Transfer-Encoding', 'chunked'],
  ['Upgrade', 'websocket'],
  ['HTTP2-Settings', 'x'],
  ['Expect', '100-continue'],
  ['Host', 'gateway'],
  ['Authorization', 'Bearer secret'],
  ['COOKIE', 'a=b'],
  ['impersonate-user', 'admin'],
  ['Impersonate-Group', 'system:masters'],
  ['Impersonate-Extra-Scopes', 'x'],
  ['Impersonate-Uid', 'x'],
  ['X-Forwarded-For', '1.2.3.4'],
  ['X-Forwarded-Uri', '/'],
  ['Forwarded', 'for=1.2.3.4'],
  ['X-Remote-User', 'admin'],
  ['X-Remote-Group', 'system:masters'],
  ['X-Remote-Extra-A', 'x'],
  ['X-Agent-Gateway-Forwarded-By', 'gateway-0'],
  [':authority', 'gateway'],
].flat();

test('requests keep their headers, but for those of the connection and of the caller', async (t) => {
  t.strictSame(requestHeaders(passing), passing);
  t.strictSame(requestHeaders(ending), []);
  t.strictSame(requestHeaders([...ending, ...passing, ...ending]), passing);
  t.strictSame(requestHeaders(['TE', 'trailers, gzip']), ['TE', 'trailers']);
});

test('headers that Connection names end here, but it cannot take away what is not its own', async (t) => {
  const named = requestHeaders(['Connection', 'close, X-Hop , x-other', 'x-hop', '1', 'X-Other', '2', 'X-Kept', '3']);
  t.strictSame(named, ['X-Kept', '3']);
  const body = ['Content-Length', '5', 'Content-Type', 'application/json'];
  t.strictSame(requestHeaders(['Connection', 'content-length, Content-Type', ...body]), body);
  // The gateway adds its own afterwards, so nothing that a client says can remove them.
  const added = [
    ...requestHeaders(['Connection', 'impersonate-user', 'Impersonate-User', 'admin']),
    'Impersonate-User',
    'ann',
  ];
  t.strictSame(added, ['Impersonate-User', 'ann']);
});

test('tokens among the subprotocols of a WebSocket are credentials, and go no further', async (t) => {
  const token = `base64url.bearer.authorization.k8s.io.${Buffer.from('my-token?').toString('base64url')}`;
  const protocols = `v5.channel.k8s.io, ${token}`;
  t.strictSame(requestHeaders(['Sec-WebSocket-Protocol', protocols]), ['Sec-WebSocket-Protocol', 'v5.channel.k8s.io']);
  t.strictSame(requestHeaders(['sec-websocket-protocol', token]), []);
  t.equal(bearerOf(undefined, protocols), 'Bearer my-token?');
  t.equal(bearerOf('Bearer other', protocols), 'Bearer other');
  t.equal(bearerOf(undefined, 'v5.channel.k8s.io'), undefined);
  t.equal(bearerOf(undefined, undefined), undefined);
});

test('what Node reads of a real request: without the defence an API server would believe it', async (t) => {
  const requests: IncomingMessage[] = [];
  const server = createServer((incoming, answer) => {
    requests.push(incoming);
    answer.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const headers = { 'IMPERSONATE-User': 'admin', Connection: 'close, x-hop', 'X-Hop': '1', Accept: '*/*' };
  const [answer] = (await once(request({ port, headers, host: '127.0.0.1' }).end(), 'response')) as [IncomingMessage];
  answer.resume();
  const { rawHeaders = [] } = requests[0] ?? {};
  t.ok(rawHeaders.includes('IMPERSONATE-User'), 'it arrives');
  t.strictSame(requestHeaders(rawHeaders), ['Accept', '*/*']);
});

test('answers keep their headers, but for those of the connection and cookies', async (t) => {
  const kept = ['Content-Type', 'application/json', 'Audit-Id', 'x', 'Warning', '299 - "a"', 'Warning', '299 - "b"'];
  const dropped = [
    'Connection',
    'x-hop',
    'X-Hop',
    '1',
    'Transfer-Encoding',
    'chunked',
    'Set-Cookie',
    'a=b',
    'Alt-Svc',
    'h3=":1"',
  ];
  t.strictSame(responseHeaders([...dropped, ...kept]), kept);
  for (const type of ['text/html; charset=utf-8', 'image/svg+xml', 'application/xhtml+xml', 'TEXT/HTML']) {
    const headers = ['Content-Type', type];
    t.strictSame(responseHeaders(headers), [...headers, 'Content-Security-Policy', 'sandbox'], type);
  }
  t.strictSame(responseHeaders([]), ['Content-Security-Policy', 'sandbox'], 'browsers guess a type');
});

test('a caller that asks to be somebody else is noticed, however it writes it', (t) => {
  for (const name of ['Impersonate-User', 'impersonate-group', 'IMPERSONATE-EXTRA-x', 'Impersonate-Uid'])
    t.ok(asksToImpersonate(['Accept', '*/*', name, 'x']), name);
  t.notOk(asksToImpersonate(['Accept', 'Impersonate-User', 'X-Impersonate-User', 'x']));
  t.end();
});
