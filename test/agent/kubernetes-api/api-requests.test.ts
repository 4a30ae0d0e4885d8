/** Requests of the Kubernetes API at an agent: answers of an API server that does what a test says. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type Test } from 'tap';
import { exchangeWindowBytes } from '../../../src/tunnel/exchange.js';
import { readerWindowBytes } from '../../../src/tunnel/window.js';
import { waitFor } from '../../wait.js';
import { kubeconfigOf, serve, type ServedAccountOptions } from './set-up.js';

test('a request gets there without credentials of its caller', async (t) => {
  const { ask, requests, outcomes } = await start(t, (request, response) => {
    request.pipe(response.writeHead(201, { 'x-a': ['1', '2'] }));
  });
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const headers = [
    'Authorization',
    'Bearer theirs',
    'X-Remote-User',
    'root',
    'Cookie',
    'a',
    'Accept',
    'x/y',
    'Impersonate-User',
    'eve',
    'traceparent',
    traceparent,
  ];
  const asked = ask({ method: 'POST', target: '/api/v1/pods?x=%2f', headers, body: 'hello' });
  await waitFor(() => asked.ended);
  t.match(asked, { head: { status: 201 }, text: 'hello', broken: undefined });
  t.equal(asked.header('x-a'), '1');
  t.match(requests[0]?.[0], { method: 'POST', url: '/prefix/api/v1/pods?x=%2f' });
  const {
    authorization,
    cookie,
    accept,
    'x-remote-user': remote,
    'impersonate-user': as,
    traceparent: trace,
    'content-length': length,
  } = requests[0]?.[0].headers ?? {};
  t.strictSame(
    [authorization, cookie, accept, remote, as, trace, length],
    [undefined, undefined, 'x/y', undefined, 'eve', traceparent, '5'],
  );
  t.strictSame(outcomes, ['answered']);
});

test('what the agent answers itself', async (t) => {
  const { ask, server, outcomes } = await start(t, (_request, response) => response.writeHead(401).end());
  const status = async (asked: ReturnType<typeof ask>) => {
    await waitFor(() => asked.ended);
    return { ...asked.json(), retryAfter: asked.header('retry-after') };
  };
  const failure = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' };
  t.match(await status(ask({ account: 'other' })), { ...failure, code: 503, retryAfter: '5', message: /"other"/ });
  t.match(await status(ask({ target: '/api/v1/namespaces/../pods' })), { ...failure, code: 400, reason: 'BadRequest' });
  const refused = await status(ask());
  t.match(refused, {
    ...failure,
    code: 503,
    retryAfter: '5',
    reason: 'ServiceUnavailable',
    message: /does not accept the credentials of the agent/,
  });
  const behind = ask({ target: '/api/v1/namespaces/a/services/b/proxy/' });
  await waitFor(() => behind.ended);
  t.equal(behind.head?.status, 401, 'of a service behind the API server');
  server.close();
  server.closeAllConnections();
  await waitFor(() => !server.listening);
  t.match(await status(ask({ method: 'DELETE' })), {
    ...failure,
    code: 503,
    retryAfter: '5',
    message: /cannot be asked: connection refused/,
  });
  t.strictSame(outcomes, ['refused', 'refused', 'failed', 'answered', 'failed']);

  const head = ask({ method: 'HEAD', account: 'other' });
  t.match(head, { ended: true, text: '', head: { status: 503 } });
});

test('credentials that cannot be had, and a level that forbids', async (t) => {
  const none = serve(t, { kubeconfig: '{}' }).ask();
  await waitFor(() => none.ended);
  t.match(none.json(), { code: 503, message: /cannot be asked: .*it has no current context/ });
  const off = serve(t, { kubeconfig: '{}', level: 'off' }).ask();
  await waitFor(() => off.ended);
  t.match(off.json(), { code: 403, reason: 'Forbidden', message: /apiAccess/ });
});

test('an answer that does not come, or breaks off', async (t) => {
  const { ask, outcomes } = await start(t, (request, response) => {
    if (request.url?.includes('begins') === true) response.write('abc', () => response.destroy());
    else response.destroy();
  });
  const changing = ask({ method: 'DELETE', target: '/api/v1/namespaces/a/pods/b' });
  await waitFor(() => changing.ended);
  t.match(changing.json(), { code: 504, reason: 'Timeout', message: /may have been carried out/ });
  t.equal(changing.header('retry-after'), undefined, 'it must not be sent again by itself');
  const reading = ask();
  await waitFor(() => reading.ended);
  t.match(reading.json(), { code: 503 });
  t.equal(reading.header('retry-after'), '5');
  const begun = ask({ target: '/version/begins' });
  await waitFor(() => begun.broken);
  t.match(begun, { head: { status: 200 }, text: 'abc', ended: false });
  t.strictSame(outcomes, ['failed', 'failed', 'failed']);
});

test('impersonation of the caller by an account that impersonates', async (t) => {
  const { ask, requests } = await start(t, (_request, response) => response.end(), { user: { as: 'robot' } });
  const nested = ask({ headers: ['impersonate-Group', 'admins'] });
  await waitFor(() => nested.ended);
  t.match(nested.json(), { code: 403, message: /impersonates a user itself/ });
  t.equal(requests.length, 0);
  const plain = ask();
  await waitFor(() => plain.ended);
  t.equal(requests[0]?.[0].headers['impersonate-user'], 'robot');
});

test('both directions wait for each other', async (t) => {
  const { ask, requests, open } = await start(t, () => undefined);
  const asked = ask({ method: 'POST', target: '/api/v1/pods', body: '' });
  asked.takes = false;
  let given = 0;
  const fill = async (): Promise<void> => {
    while (given - asked.consumed < exchangeWindowBytes) {
      given += 32_768;
      asked.events.onData(Buffer.alloc(32_768));
      await new Promise(setImmediate);
    }
  };
  const [request, response] = await waitFor(async () => {
    await fill();
    return requests[0];
  });
  await waitFor(async () => {
    const before = asked.consumed;
    await fill();
    return asked.consumed === before && given - asked.consumed >= exchangeWindowBytes;
  });
  t.ok(given < 20_000_000, `${String(given)} bytes for a server that does not read`);
  request.resume();
  await waitFor(() => asked.consumed === given);
  asked.events.onEnd([]);
  response.write(Buffer.alloc(1_000_000));
  await waitFor(() => asked.text.length === readerWindowBytes);
  asked.takes = true;
  asked.events.onDrain();
  await waitFor(() => asked.text.length === 1_000_000);
  t.equal(open(), 1);
  response.end();
  await waitFor(() => open() === 0);
});

test('a caller that goes, an account that goes, too many requests', async (t) => {
  const { ask, requests, account, outcomes, open } = await start(t, (_request, response) => response.write('x'), {
    mostPerAccount: 2,
  });
  const [gone, watching] = [ask(), ask()];
  await waitFor(() => requests.length === 2 && gone.text === 'x' && watching.text === 'x');
  const third = ask();
  t.match(third.json(), { code: 429, reason: 'TooManyRequests' });
  gone.events.onCancelled('the caller is gone');
  await waitFor(() => requests.some(([, response]) => response.closed), { timeoutMs: 1_000 });
  t.notOk(gone.broken ?? gone.ended, 'it is told nothing more');
  account.closing.abort(new Error('removed'));
  t.match(watching.broken, /no longer served/);
  await waitFor(() => requests.every(([, response]) => response.closed), { timeoutMs: 1_000 });
  t.strictSame(outcomes, ['refused', 'cancelled', 'failed']);
  t.equal(open(), 0);
});

test('upgrades: bytes in both directions until both have ended', async (t) => {
  const { ask, server, outcomes } = await start(t, () => undefined);
  server.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n');
    socket.on('data', (data: Buffer) => socket.write(`<${data.toString()}>`));
    socket.on('end', () => socket.end());
  });
  const asked = ask({ method: 'POST', target: '/api/v1/namespaces/a/pods/b/exec', upgrade: 'SPDY/3.1' });
  asked.events.onData(Buffer.from('early'));
  await waitFor(() => asked.text === '<early>');
  t.match(asked.head, { status: 101, headers: ['Upgrade', 'SPDY/3.1'] });
  asked.events.onData(Buffer.from('more'));
  await waitFor(() => asked.text === '<early><more>');
  t.strictSame(outcomes, []);
  asked.events.onEnd([]);
  await waitFor(() => asked.ended);
  t.strictSame([outcomes, asked.consumed], [['answered'], 9]);
});

async function start(
  t: Test,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  options: Partial<ServedAccountOptions> & { readonly user?: object } = {},
) {
  const requests: [IncomingMessage, ServerResponse][] = [];
  const server = createServer((request, response) => {
    requests.push([request, response]);
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/prefix/`;
  const kubeconfig = kubeconfigOf({ server: address }, options.user ?? {});
  return { ...serve(t, { kubeconfig, ...options }), server, requests };
}
