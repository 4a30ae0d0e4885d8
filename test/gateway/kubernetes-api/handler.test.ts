/** Requests of the Kubernetes API through real sockets: what the caller sends reaches the agent, and its answer the caller. */

import { createHash } from 'node:crypto';
import { request as request1, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { connect as connect2, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2';
import { test, type Test } from 'tap';
import { waitFor } from '../../wait.js';
import { head, ok, prefix, rawClient, startAnswering, startServed, type Arrived } from './served.js';

const mebibyte = 1_048_576;
const digestOf = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
const large = Buffer.alloc(20 * mebibyte, 'Kubernetes');

interface Result {
  readonly status: number;
  /** Name, value ...; with HTTP/2 by name. */
  readonly headers: readonly string[];
  readonly body: Buffer;
  readonly trailers: Readonly<Record<string, unknown>>;
}

type Ask = (method: string, path: string, body?: Buffer, headers?: OutgoingHttpHeaders) => Promise<Result>;

/** @param body sent in chunks if there is no Content-Length */
function http1(origin: string): Ask {
  return async (method, path, body, headers = {}) => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      // Node.js would send the bodies of GET and DELETE without any framing.
      const framing = body === undefined || 'content-length' in headers ? {} : { 'transfer-encoding': 'chunked' };
      const options = { method, headers: { ...headers, ...framing }, agent: false };
      const sent = request1(origin + path, options, resolve).on('error', reject);
      if (body !== undefined) sent.write(body);
      sent.end();
    });
    const chunks = await response.toArray();
    const { statusCode: status = 0, rawHeaders, trailers } = response;
    return { status, headers: rawHeaders, body: Buffer.concat(chunks as Buffer[]), trailers };
  };
}

function http2(session: ClientHttp2Session): Ask {
  return async (method, path, body, headers = {}) => {
    const stream = session.request({ ...headers, ':method': method, ':path': path }, { endStream: body === undefined });
    let answered: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    stream.on('response', (all) => (answered = all));
    stream.on('trailers', (all: IncomingHttpHeaders) => (trailers = all));
    if (body !== undefined) stream.end(body);
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const list = Object.entries(answered).flatMap(([name, value]) => [name, String(value)]);
    return { status: Number(answered[':status']), headers: list, body: Buffer.concat(chunks), trailers };
  };
}

/** Sends `data` as fast as it is taken. */
function sendAll({ answer }: Arrived, data: Buffer): () => void {
  let position = 0;
  return () => {
    while (position < data.length) {
      const piece = data.subarray(position, (position += 65_536));
      if (!answer.write(piece)) return;
    }
    answer.end();
  };
}

function respond(arrived: Arrived) {
  const { request, answer } = arrived;
  switch (request.target.replace(/\?.*/u, '')) {
    case '/digest': {
      const hash = createHash('sha256');
      return {
        onData: (data: Uint8Array) => {
          hash.update(data);
          answer.consumed(data.length);
        },
        onEnd: () => ok(answer, hash.digest('hex')),
      };
    }
    case '/large': {
      answer.respond({ status: 200, headers: ['Content-Length', String(large.length)] });
      const more = sendAll(arrived, large);
      setImmediate(more);
      return { onDrain: more };
    }
    case '/headers':
      ok(answer, JSON.stringify(request), [
        'X-b',
        '1',
        'WARNING',
        '299 - "a"',
        'x-B',
        '2',
        'warning',
        '299 - "b"',
        'Content-Encoding',
        'x',
      ]);
      return undefined;
    case '/trailers':
      answer.respond({ status: 200, headers: ['Trailer', 'X-Sum'] });
      answer.write(Buffer.from('body'));
      answer.end(['X-Sum', '42']);
      return undefined;
    case '/204':
    case '/304':
      answer.respond({ status: Number(request.target.slice(1)), headers: ['ETag', '"x"'] });
      answer.end();
      return undefined;
    case '/head':
      answer.respond({ status: 200, headers: ['Content-Length', '12345'] });
      answer.end();
      return undefined;
    case '/held':
    case '/api/v1/pods':
      return undefined;
    default:
      ok(answer);
      return undefined;
  }
}

async function passes(t: Test, ask: Ask, arrived: readonly Arrived[], keepsNames: boolean): Promise<void> {
  const pairs = (headers: readonly string[], pattern: RegExp) =>
    headers.flatMap((name, index) => (index % 2 === 0 && pattern.test(name) ? [name, headers[index + 1]] : []));

  const { body, headers } = await ask('GET', `${prefix}/headers?a=%2F&b=+&a`, undefined, {
    'X-Many': ['1', '2'],
    'accept-encoding': 'gzip',
    'if-none-match': '"x"',
    'kubectl-command': 'kubectl get',
    cookie: 'a=b',
    'x-forwarded-for': '1.2.3.4',
  });
  const seen = JSON.parse(body.toString()) as Arrived['request'];
  t.match(seen, { account: 'a', method: 'GET', target: '/headers?a=%2F&b=+&a', upgrade: '' });
  const names = seen.headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  t.notOk(
    names.some((name) => /^(?:cookie|impersonate|x-forwarded|host|connection|:)/u.test(name)),
    names.join(),
  );
  t.same(
    pairs(headers, /^(?:x-b|warning|content-encoding)$/iu),
    keepsNames
      ? ['X-b', '1', 'WARNING', '299 - "a"', 'x-B', '2', 'warning', '299 - "b"', 'Content-Encoding', 'x']
      : ['x-b', '1, 2', 'warning', '299 - "a", 299 - "b"', 'content-encoding', 'x'],
  );

  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'GET']) {
    for (const size of [0, 1, 65_536, 65_537, 204_800]) {
      const sent = large.subarray(0, size);
      const digest = await ask(method, `${prefix}/digest`, sent, { 'content-length': String(size) });
      t.equal(digest.body.toString(), digestOf(sent), `${method} of ${String(size)} bytes`);
    }
    const chunked = await ask(method, `${prefix}/digest`, large.subarray(0, 100_000));
    t.equal(chunked.body.toString(), digestOf(large.subarray(0, 100_000)), `${method} without a length`);
  }
  t.equal((await ask('POST', `${prefix}/digest`, large)).body.toString(), digestOf(large), '20 MiB to the API server');
  t.ok(large.equals((await ask('GET', `${prefix}/large`)).body), '20 MiB from it');
  const trailers = await ask('GET', `${prefix}/trailers`);
  t.match(trailers, { status: 200, trailers: { 'x-sum': '42' } });
  t.equal(trailers.body.toString(), 'body');
  t.match(await ask('GET', `${prefix}/204`), { status: 204, body: { length: 0 } });
  t.match(await ask('GET', `${prefix}/304`), { status: 304, body: { length: 0 } });
  const answered = await ask('HEAD', `${prefix}/head`);
  t.same(pairs(answered.headers, /^content-length$/iu).slice(1), ['12345']);
  await waitFor(() => arrived.every(({ cancelled }) => cancelled === undefined));
}

test('requests through sockets', async (t) => {
  const served = await startServed(t, { respond, settings: { 'kubesvc.kubernetesApi.holdMs': 500 } });
  const { arrived, restUrl, restPort } = served;
  const session = connect2(restUrl);
  t.teardown(() => session.destroy());

  await t.test('all of it passes by HTTP/1.1', (t) => passes(t, http1(restUrl), arrived, true));
  await t.test('all of it passes by HTTP/2', (t) => passes(t, http2(session), arrived, false));

  await t.test('who goes ends its request within a second, and an agent that goes ends the answer', async (t) => {
    const last = () => arrived.at(-1);
    const client = await rawClient(t, restPort);
    client.write(head('/held'));
    await waitFor(() => last()?.request.target === '/held');
    client.socket.destroy();
    await waitFor(() => last()?.cancelled !== undefined, { timeoutMs: 1_000 });
    const stream = session.request({ ':path': `${prefix}/held?2` });
    stream.on('error', () => undefined);
    await waitFor(() => last()?.request.target === '/held?2');
    stream.close();
    await waitFor(() => last()?.cancelled !== undefined, { timeoutMs: 1_000 });
    const reader = await rawClient(t, restPort);
    reader.write(head('/held?3'));
    await waitFor(() => last()?.request.target === '/held?3');
    last()?.answer.respond({ status: 200, headers: [] });
    last()?.answer.write(Buffer.from('half'));
    await reader.until('half');
    last()?.answer.break('the API server went away');
    await waitFor(() => reader.closed, { timeoutMs: 1_000 });
    t.notMatch(reader.text, /\r\n0\r\n/u, 'it is cut off, not ended');
  });

  await t.test('a watch that breaks off is ended between two events, and cut in one', async (t) => {
    const frame = (bytes: number): Buffer => Buffer.concat([Buffer.from([0, 0, 0, bytes]), Buffer.alloc(bytes, 'e')]);
    const protobuf = 'application/vnd.kubernetes.protobuf;stream=watch';
    const cases: readonly (readonly [string, string, Buffer, boolean])[] = [
      ['lines', 'application/json', Buffer.from('{"type":"ADDED"}\n'), true],
      ['half a line', 'application/json', Buffer.from('{"type":"ADDED"}\n{"ty'), false],
      ['frames', protobuf, Buffer.concat([frame(20), frame(3)]), true],
      ['half a frame', protobuf, Buffer.concat([frame(20), frame(30).subarray(0, 20)]), false],
      ['half a length', protobuf, Buffer.concat([frame(20), Buffer.from([0, 0])]), false],
    ];
    for (const [name, type, events, ends] of cases) {
      const count = arrived.length;
      const client = await rawClient(t, restPort);
      client.write(head('/api/v1/pods?watch=1'));
      await waitFor(() => arrived.length > count);
      const { answer } = arrived[count] as Arrived;
      answer.respond({ status: 200, headers: ['Content-Type', type] });
      answer.write(events);
      await client.until(events.toString('latin1'));
      answer.break('the API server went away');
      await waitFor(() => client.closed || client.text.endsWith('\r\n0\r\n\r\n'), { timeoutMs: 2_000 });
      t.equal(client.text.endsWith('\r\n0\r\n\r\n'), ends, name);
      client.socket.destroy();
    }
  });

  await t.test('errors are objects of Kubernetes', async (t) => {
    const ask = http1(restUrl);
    const status = ({ body }: Result) => JSON.parse(body.toString()) as Readonly<Record<string, unknown>>;
    const unknown = await ask('GET', '/kubernetes/accounts/nobody/api');
    t.match(status(unknown), { kind: 'Status', code: 404, reason: 'NotFound', details: { name: 'nobody' } });

    const older = await startAnswering(t, served, 'older', ['old'], undefined);
    const refused = await ask('GET', '/kubernetes/accounts/old/api');
    t.match(status(refused), { code: 501, message: /does not know the Kubernetes API: update it/u });
    await older.stop();
    const gone = await ask('GET', '/kubernetes/accounts/old/api');
    t.match(status(gone), { code: 503, reason: 'ServiceUnavailable', details: { retryAfterSeconds: 5 } });
    t.ok(gone.headers.includes('Retry-After'));
    t.match(status(await ask('GET', `${prefix}//x`)), { code: 400, reason: 'BadRequest' });
    const count = served.arrived.length;
    const as = await ask('GET', `${prefix}/api`, undefined, { 'impersonate-user': 'root' });
    t.match(status(as), { code: 403, reason: 'Forbidden', message: /cannot impersonate anybody/u });
    t.equal(served.arrived.length, count, 'nothing of it reached the agent');
  });

  await t.test('who goes while its request waits for an agent leaves nothing', async (t) => {
    const leaver = await startAnswering(t, served, 'leaver', ['left'], undefined);
    await leaver.stop();
    const open = async () => /requests_open\S* [1-9]/u.test(await (await fetch(`${restUrl}/metrics`)).text());
    const client = await rawClient(t, restPort);
    client.write(head('/api').replace('accounts/a/', 'accounts/left/'));
    await waitFor(open);
    client.socket.destroy();
    await waitFor(async () => !(await open()));
  });
});
