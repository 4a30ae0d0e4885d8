/** The client to one other instance: what shares a request, what a failure says of what was sent, what a Clouddriver gets. */

import { mock } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { forwardedAnswerHeader } from '../../../src/gateway/peers/api-forwarding.js';
import { peerIdleMs } from '../../../src/gateway/peers/forwarding.js';
import { digestOf } from '../../../src/gateway/peers/instance-tokens.js';
import { Peer, UnknownDelivery, type PeerOptions } from '../../../src/gateway/peers/peer.js';
import { freePort } from '../../free-port.js';
import { waitFor } from '../../wait.js';
import { result } from '../operations/doubles/entry.js';
import { atOnce, say, startInstanceDouble, takeAll } from './instance-double.js';

const bytes = (text: string): Uint8Array => Buffer.from(text);

function peerTo(t: Test, baseUrl: string, change: Partial<PeerOptions> = {}): Peer {
  const options = { instanceId: 'here', connections: 1, timeoutMs: 5_000, tls: () => ({}), sign: undefined };
  const peer = new Peer({ id: 'there', baseUrl }, { ...options, ...change });
  t.teardown(() => peer.close());
  return peer;
}

test('what goes at the same time shares a request, byte for byte, and each has its own answer', async (t) => {
  const answers = [{ agentId: 'one' }, { refused: { code: 'not-owner', detail: 'moved', retryAfterMs: 7 } }, {}];
  const { baseUrl, requests } = await startInstanceDouble(t, say(200, answers));
  const peer = peerTo(t, baseUrl);
  const outcomes = await Promise.allSettled(['1', '2', '3'].map((text) => peer.operation(bytes(text))));
  t.match(outcomes, [
    { value: { agentId: 'one' } },
    { reason: { code: 'not-owner', message: 'moved', details: { instanceId: 'there', retryAfterMs: 7 } } },
    { status: 'fulfilled' },
  ]);
  t.match(requests, [{ method: 'POST', path: '/armory/agent/operations', messages: ['1', '2', '3'] }]);
});

test('no more than a hundred messages, or a megabyte, share a request', async (t) => {
  const { baseUrl, requests } = await startInstanceDouble(t, takeAll);
  const peer = peerTo(t, baseUrl);
  await Promise.all(Array.from({ length: 150 }, () => peer.result(bytes('small'))));
  t.same(
    requests.map(({ messages }) => messages.length),
    [100, 50],
  );
  t.equal(requests[0]?.path, '/armory/agent/operationresults');
  await Promise.all([1, 2].map(() => peer.operation(new Uint8Array(700_000))));
  t.same(
    requests.slice(2).map(({ messages }) => messages.length),
    [1, 1],
  );
});

test('a call says who makes it, and is signed for this receiver, path and body where there is a secret', async (t) => {
  const { baseUrl, requests } = await startInstanceDouble(t, takeAll);
  await peerTo(t, baseUrl).operation(bytes('1'));
  t.match(requests[0]?.headers, { 'x-agent-gateway-forwarded-by': 'here' });
  t.equal(requests[0]?.headers['x-agent-gateway-instance'], undefined);
  const sign: PeerOptions['sign'] = (receiver, { method, path, bodyDigest }) =>
    [receiver, method, path, bodyDigest].join(' ');
  await peerTo(t, baseUrl, { sign }).operation(bytes('1'));
  const { body, headers } = requests[1]!;
  t.equal(headers['x-agent-gateway-instance'], `there POST /armory/agent/operations ${digestOf(body)}`);
});

test('an instance that cannot be reached cannot have got anything', async (t) => {
  const peer = peerTo(t, `http://127.0.0.1:${await freePort()}`);
  const error: unknown = await peer.operation(bytes('1')).catch((thrown: unknown) => thrown);
  t.match(error, { code: 'owner-unreachable', details: { instanceId: 'there', retryAfterMs: 1_000 } });
  t.notOk((error as { cause: unknown }).cause instanceof UnknownDelivery);
});

test('one that breaks off, or is silent, after it was sent something may have got it', async (t) => {
  const broken = await startInstanceDouble(t, (_request, response) => response.destroy());
  await t.rejects(peerTo(t, broken.baseUrl).operation(bytes('1')), {
    code: 'owner-unreachable',
    cause: { name: 'UnknownDelivery', timedOut: false },
  });
  const silent = await startInstanceDouble(t, () => undefined);
  await t.rejects(peerTo(t, silent.baseUrl, { timeoutMs: 20 }).operation(bytes('1')), {
    code: 'owner-unreachable',
    cause: { name: 'UnknownDelivery', timedOut: true },
  });
});

test('one that answers with an error has taken nothing for sure', async (t) => {
  const { baseUrl } = await startInstanceDouble(t, say(500, 'out of memory'));
  const error: unknown = await peerTo(t, baseUrl)
    .result(bytes('1'))
    .catch((thrown: unknown) => thrown);
  t.match(error, { code: 'owner-unreachable', message: 'instance there answered 500: out of memory' });
  t.equal((error as { cause?: unknown }).cause, undefined);
});

test('a Clouddriver, which answers 415, gets each message as text from then on', async (t) => {
  let status = 200;
  const { baseUrl, requests } = await startInstanceDouble(t, ({ headers }, response) => {
    const protobuf = headers['content-type'] === 'application/x-protobuf';
    response.writeHead(protobuf ? 415 : status).end('');
  });
  const peer = peerTo(t, baseUrl);
  await Promise.all([peer.result(result('one')), peer.result(result('two'))]);
  const [first, ...texts] = requests;
  t.match(first?.headers, { 'content-type': 'application/x-protobuf' });
  t.match(texts.map(({ body }) => body.toString()).toSorted(), [/"result":"operation_id: \\"one\\"/u, /two/u]);
  for (const [answered, code] of [
    [404, 'unknown-operation'],
    [409, 'operation-ended'],
    [413, 'too-large'],
    [421, 'not-owner'],
    [429, 'overloaded'],
    [503, 'owner-unreachable'],
  ] as const) {
    status = answered;
    await t.rejects(peer.result(result('one')), { code });
  }
  t.equal(requests.filter(({ headers }) => headers['content-type'] === 'application/x-protobuf').length, 1, 'once');
});

test('a call that an instance answers for itself gives status and JSON, whatever they are', async (t) => {
  const { baseUrl, requests } = await startInstanceDouble(t, ({ path }, response) =>
    path === '/json' ? say(207, [1])(requests[0]!, response) : say(200, '<html>')(requests[0]!, response),
  );
  const peer = peerTo(t, baseUrl);
  t.same(await peer.call({ method: 'POST', path: '/json', body: { a: 1 }, timeoutMs: 5_000 }), {
    status: 207,
    body: [1],
  });
  t.equal(requests[0]?.body.toString(), '{"a":1}');
  t.same(await peer.call({ method: 'GET', path: '/page', timeoutMs: 5_000 }), { status: 200, body: undefined });
});

test('what waits for an instance is bounded', async (t) => {
  const { baseUrl, requests } = await startInstanceDouble(t, () => undefined);
  const peer = peerTo(t, baseUrl);
  const given = Array.from({ length: 10_001 }, () => peer.operation(bytes('1')));
  const outcomes = Promise.allSettled(given);
  await t.rejects(async () => given.at(-1), { code: 'overloaded', message: /to instance there/u });
  await waitFor(() => requests.length > 0);
  t.equal(peer.queueLength, 9_900);
  // Each of the waiting batches fails at once.
  await peer.close();
  t.equal((await outcomes).filter(({ status }) => status === 'fulfilled').length, 0);
});

test('after a renewal new connections use the TLS files as they are, and calls under way end on the old ones', async (t) => {
  const waiting: (() => void)[] = [];
  const { baseUrl, connections } = await startInstanceDouble(t, (request, response) => {
    waiting.push(() => takeAll(request, response));
  });
  let reads = 0;
  const peer = peerTo(t, baseUrl, { tls: () => ({ servername: String((reads += 1)) }), connections: 2 });
  const before = peer.operation(bytes('before'));
  await waitFor(() => waiting.length === 1);
  const readBefore = reads;
  peer.renew();
  t.equal(reads, readBefore * 2, 'for operations, and for requests of the Kubernetes API');
  const after = peer.operation(bytes('after'));
  await waitFor(() => waiting.length === 2);
  t.equal(connections.opened, 2);
  for (const answer of waiting) answer();
  t.same(await Promise.all([before, after]), [{}, {}]);
  await waitFor(() => connections.open === 1, atOnce);
});

test('a connection without use is closed after 30 s, however long the peer would keep it', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const { baseUrl, connections } = await startInstanceDouble(t, (request, response) => {
    response.setHeader(forwardedAnswerHeader, 'true');
    takeAll(request, response);
  });
  const peer = peerTo(t, baseUrl);
  await peer.operation(bytes('operation'));
  await new Promise<void>((resolve, reject) => {
    const request = { method: 'GET', target: '/api', headers: [], upgrade: '', account: 'a', lasting: false };
    const events = { onResponse: () => undefined, onData: () => undefined, onDrain: () => undefined };
    peer.api.start(request, { complete: true }, { ...events, onEnd: () => resolve(), onFailed: reject });
  });
  // undici begins to count in the next turn.
  await setImmediate();
  t.equal(connections.open, 2);
  mock.timers.tick(peerIdleMs);
  mock.timers.reset();
  await waitFor(() => connections.open === 0, atOnce);
});
