/** Objects and lists are held until they are complete, so that no caller takes half of one for all that there is. */

import { request as requestHttp, type IncomingMessage } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { test } from 'tap';
import { readerWindowBytes } from '../../../src/tunnel/window.js';
import { waitFor } from '../../wait.js';
import { head, prefix, rawClient, startServed, type Arrived, type Served } from './served.js';

const json = ['Content-Type', 'application/json'];

async function ask(served: Served, path: string): Promise<{ arrived: Arrived; answer: Promise<IncomingMessage> }> {
  const before = served.arrived.length;
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    requestHttp(`http://127.0.0.1:${String(served.restPort)}${prefix}${path}`, { agent: false }, resolve)
      .on('error', reject)
      .end();
  });
  return { arrived: await waitFor(() => served.arrived[before]), answer };
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  return Buffer.concat((await message.toArray()) as Buffer[]);
}

test('an answer that breaks off while it is held is an error that says to try again', async (t) => {
  const served = await startServed(t, { respond: () => undefined });
  for (const path of [
    '/api/v1/namespaces',
    '/api/v1/namespaces/a/pods/b',
    '/apis',
    '/apis/apps/v1/deployments?limit=5',
  ]) {
    const { arrived, answer } = await ask(served, path);
    arrived.answer.respond({ status: 200, headers: json });
    arrived.answer.write(Buffer.from('{"kind":"List","items":['));
    arrived.answer.break('the API server is gone');
    const message = await answer;
    t.match(message, { statusCode: 503, headers: { 'retry-after': '5' } }, path);
    t.match(JSON.parse((await bodyOf(message)).toString()), { kind: 'Status', reason: 'ServiceUnavailable' });
  }
});

test('an answer that is shorter than its head says', async (t) => {
  const served = await startServed(t, { respond: () => undefined });
  const { arrived, answer } = await ask(served, '/api/v1/pods');
  arrived.answer.respond({ status: 200, headers: [...json, 'Content-Length', '100'] });
  arrived.answer.write(Buffer.from('{'));
  arrived.answer.end();
  t.match(await answer, { statusCode: 503, headers: { 'retry-after': '5' } });
});

test('whole answers of every length pass', async (t) => {
  const served = await startServed(t, { respond: () => undefined });
  for (const length of [0, 1, readerWindowBytes - 1, readerWindowBytes, readerWindowBytes + 1, 3_000_000]) {
    for (const stated of [true, false]) {
      const { arrived, answer } = await ask(served, '/api/v1/pods');
      const body = Buffer.alloc(length, 'list');
      const headers = stated ? [...json, 'Content-Length', String(length)] : json;
      arrived.answer.respond({ status: 200, headers });
      for (let at = 0; at < length; at += 65_536) arrived.answer.write(body.subarray(at, at + 65_536));
      arrived.answer.end();
      const message = await answer;
      t.equal(message.statusCode, 200);
      t.ok((await bodyOf(message)).equals(body), `${String(length)} bytes, ${stated ? 'stated' : 'in chunks'}`);
    }
  }
});

test('over HTTP/2', async (t) => {
  const served = await startServed(t, { respond: () => undefined });
  const session = connectHttp2(`http://127.0.0.1:${String(served.restPort)}`);
  t.teardown(() => {
    session.destroy();
  });
  const stream = session.request({ ':path': `${prefix}/api/v1/namespaces` });
  let status: number | undefined;
  stream.on('response', (headers) => (status = headers[':status']));
  const { answer } = await waitFor(() => served.arrived[0]);
  answer.respond({ status: 200, headers: json });
  answer.write(Buffer.from('{'));
  answer.break('the API server is gone');
  await waitFor(() => status);
  t.equal(status, 503);
});

test('what is longer is passed on, and cut', async (t) => {
  const served = await startServed(t, { respond: () => undefined });
  const { arrived, answer } = await ask(served, '/api/v1/pods');
  arrived.answer.respond({ status: 200, headers: json });
  arrived.answer.write(Buffer.alloc(readerWindowBytes, ' '));
  const message = await answer;
  t.equal(message.statusCode, 200);
  arrived.answer.break('the API server is gone');
  await t.rejects(bodyOf(message), { code: 'ECONNRESET' });
});

test('nothing else is held', async (t) => {
  const served = await startServed(t, { respond: () => undefined });
  const lasting = [
    { path: '/api/v1/namespaces/a/pods/b/log?follow', type: 'application/json' },
    { path: '/api/v1/namespaces/a/services/b/proxy/events', type: 'application/json' },
    { path: '/apis/example.com/v1/feeds', type: 'text/event-stream' },
    { path: '/api/v1/pods?watch', type: 'application/json' },
  ];
  for (const { path, type } of lasting) {
    const client = await rawClient(t, served.restPort);
    const before = served.arrived.length;
    client.write(head(path));
    const { answer } = await waitFor(() => served.arrived[before]);
    answer.respond({ status: 200, headers: ['Content-Type', type] });
    answer.write(Buffer.from('first'));
    await client.until('first');
    t.pass(path);
    answer.end();
  }
});
