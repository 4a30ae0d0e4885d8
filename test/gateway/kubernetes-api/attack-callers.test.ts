/** Attackers: callers who write what the gateway, a proxy before it or the API server behind it may read in different ways. */

import { connect as connectHttp2 } from 'node:http2';
import { test, type Test } from 'tap';
import { waitFor } from '../../wait.js';
import { head, headOf, ok, prefix, rawClient, startServed, type Served } from './served.js';

/** Echoes what the agent got, which is all that an API server could get. */
async function start(t: Test, settings = {}): Promise<Served> {
  return startServed(t, {
    accounts: ['a', 'b', 'team/prod', 'arn:aws:eks:eu-west-1:1:cluster/x', 'user@host', 'a+b=c'],
    settings,
    respond: (arrived) => {
      const { request, answer } = arrived;
      if (request.target.startsWith('/held')) return undefined;
      if (!request.target.startsWith('/body')) {
        ok(answer, JSON.stringify(request));
        return undefined;
      }
      return { onEnd: () => ok(answer, arrived.body) };
    },
  });
}

/** Asks with HTTP/1.1, byte by byte as it is written. @returns the status line and what follows it */
async function ask(t: Test, served: Served, text: string): Promise<string> {
  const client = await rawClient(t, served.restPort);
  client.write(text);
  await waitFor(() => client.closed, {
    timeoutMs: 10_000,
    description: `the end of the answer to ${text.slice(0, 200)}`,
  });
  client.socket.destroy();
  return client.text;
}

interface Answer2 {
  readonly status: number;
  readonly text: string;
}

function ask2(served: Served, headers: Readonly<Record<string, string>>, body?: string): Promise<Answer2> {
  return new Promise((resolve) => {
    const session = connectHttp2(served.restUrl);
    let status = 0;
    let text = '';
    const over = (): void => {
      session.destroy();
      resolve({ status, text });
    };
    session.on('error', over);
    let request;
    try {
      request = session.request(headers, { endStream: body === undefined });
    } catch (error) {
      resolve({ status: -1, text: String(error) });
      session.destroy();
      return;
    }
    request.on('response', (answer) => (status = Number(answer[':status'])));
    request.setEncoding('utf8');
    request.on('data', (data: string) => (text += data));
    request.on('error', () => undefined);
    request.on('close', over);
    if (body !== undefined) request.end(body);
  });
}

const close = 'Connection: close';

test('callers', async (t) => {
  const served = await start(t);
  const { arrived } = served;
  const arrivedSince = (count: number) =>
    arrived.slice(count).map(({ request }) => `${request.account} ${request.target}`);

  await t.test('names of accounts are one segment, whatever is in them', async (t) => {
    for (const account of ['a', 'team/prod', 'arn:aws:eks:eu-west-1:1:cluster/x', 'user@host', 'a+b=c']) {
      const before = arrived.length;
      const path = `/kubernetes/accounts/${encodeURIComponent(account)}`;
      t.match(
        await ask(t, served, `GET ${path}/api?x=%2F HTTP/1.1\r\nHost: g\r\n${close}\r\n\r\n`),
        /^HTTP\/1.1 200/u,
        account,
      );
      t.equal((await ask2(served, { ':path': `${path}/api` })).status, 200, account);
      t.same(arrivedSince(before), [`${account} /api?x=%2F`, `${account} /api`]);
    }
  });

  await t.test('no path leads to another account, or past what is checked', async (t) => {
    const refused = [
      ...[
        '/../b/api',
        '/%2e%2e/b/api',
        '/%2E./b/api',
        '/..;/b/api',
        '/api/..%2f..%2fb',
        '/api%5c..%5cb',
        '//api',
        '/api//v1/pods',
      ],
      ...[
        '/api/v1/namespaces/x/pods/y%2flog',
        '/api/v1/./secrets',
        '/api/v1/%2e/secrets',
        '/api/v1/namespaces/%252e%252e/x',
        '/api/%00',
      ],
      ...['/api/v1/pods%', '/api/v1/pods%zz', '/api/v1/namespaces/x%0d%0aX: y/pods', '/#/api', '/api/v1#x'],
    ];
    const before = arrived.length;
    for (const path of refused) {
      t.match(await ask(t, served, head(path, close)), /^HTTP\/1.1 400 /u, path);
      // nghttp2 itself resets some of them.
      t.ok([0, 400].includes((await ask2(served, { ':path': prefix + path })).status), path);
    }
    for (const account of ['..', '.', '%2e%2e', '%2E', '', 'b%00', 'a%0d%0aX-A:%20b']) {
      const text = `GET /kubernetes/accounts/${account}/a/api HTTP/1.1\r\nHost: g\r\n${close}\r\n\r\n`;
      t.match(await ask(t, served, text), /^HTTP\/1.1 400 /u, account);
    }
    for (const account of [
      'a%2f..%2fb',
      'a%2fapi',
      'A',
      '50%25',
      'a%20',
      'with%20space',
      '%61%2f',
      'team',
      'team%2f',
      'a;b',
      'a\\b',
    ])
      t.match(
        await ask(t, served, `GET /kubernetes/accounts/${account}/api HTTP/1.1\r\nHost: g\r\n${close}\r\n\r\n`),
        /^HTTP\/1.1 404 [\s\S]*"reason":"NotFound"/u,
        account,
      );
    for (const target of [
      'http://b/kubernetes/accounts/a/api',
      `//x${prefix}/api`,
      `/x/..${prefix}/api`,
      `/./${prefix}/api`,
      '*',
    ])
      t.match(
        await ask(t, served, `GET ${target} HTTP/1.1\r\nHost: g\r\n${close}\r\n\r\n`),
        /^HTTP\/1.1 (?:40[04]|302) /u,
        target,
      );
    t.ok([0, 404].includes((await ask2(served, { ':path': `http://b${prefix}/api` })).status));
    t.same(arrivedSince(before), [], 'none of them was asked');
  });

  await t.test('the account is that of the path, whatever Host and :authority say', async (t) => {
    const before = arrived.length;
    await ask(t, served, `GET ${prefix}/api HTTP/1.1\r\nHost: b/../kubernetes/accounts/b\r\n${close}\r\n\r\n`);
    await ask2(served, { ':path': `${prefix}/api`, ':authority': 'b', 'x-forwarded-host': 'b', 'x-original-url': '/' });
    for (const { request } of arrived.slice(before)) {
      t.equal(request.account, 'a');
      t.notMatch(request.headers.join('\n'), /host\n|authority|forwarded/iu);
    }
    t.match(
      await ask(t, served, `GET ${prefix}/api HTTP/1.1\r\nHost: a\r\nHost: b\r\n${close}\r\n\r\n`),
      /^HTTP\/1.1 (?:400|200)/u,
    );
  });

  await t.test('a body that could be read in two ways is refused, and nothing behind it is a request', async (t) => {
    const hidden = head('/hidden', close);
    const tricks: readonly (readonly [string, string, string])[] = [
      ['CL and TE', 'Content-Length: 4\r\nTransfer-Encoding: chunked', '0\r\n\r\n'],
      ['TE and CL', 'Transfer-Encoding: chunked\r\nContent-Length: 4', '0\r\n\r\n'],
      ['two CLs', 'Content-Length: 0\r\nContent-Length: 5', ''],
      ['a list of CLs', 'Content-Length: 0, 5', ''],
      ['a signed CL', 'Content-Length: +0', ''],
      ['a negative CL', 'Content-Length: -1', ''],
      ['a hexadecimal CL', 'Content-Length: 0x5', ''],
      ['two TEs', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', '0\r\n\r\n'],
      ['an unknown TE', 'Transfer-Encoding: xchunked', '0\r\n\r\n'],
      ['TE not last', 'Transfer-Encoding: chunked, identity', '0\r\n\r\n'],
      ['TE with a tab', 'Transfer-Encoding:\tchunked, \x0bchunked', '0\r\n\r\n'],
      ['a space before the colon', 'Transfer-Encoding : chunked', '0\r\n\r\n'],
      ['a folded header', 'X-A: b\r\n c\r\nTransfer-Encoding:\r\n chunked', '0\r\n\r\n'],
      ['a bare LF', 'X-A: b\nTransfer-Encoding: chunked', '0\r\n\r\n'],
      ['a bare CR', 'X-A: b\rTransfer-Encoding: chunked', '0\r\n\r\n'],
      ['a NUL', 'X-A: b\0', ''],
      ['a chunk that is too long', 'Transfer-Encoding: chunked', '1\r\nabc\r\n0\r\n\r\n'],
      ['a chunk size with a sign', 'Transfer-Encoding: chunked', '+1\r\na\r\n0\r\n\r\n'],
      ['a chunk size with 0x', 'Transfer-Encoding: chunked', '0x1\r\na\r\n0\r\n\r\n'],
      ['a chunk that ends with LF', 'Transfer-Encoding: chunked', '1\na\r\n0\r\n\r\n'],
      ['a chunk extension with LF', 'Transfer-Encoding: chunked', '1;x\na\r\n0\r\n\r\n'],
      ['a chunk size that overflows', 'Transfer-Encoding: chunked', '10000000000000001\r\na\r\n0\r\n\r\n'],
    ];
    for (const [name, lines, body] of tricks) {
      const before = arrived.length;
      const text = await ask(t, served, headOf('POST', '/body', ...lines.split('\r\n')) + body + hidden);
      t.match(text, /^HTTP\/1.1 (?:400|413) /u, name);
      t.equal(text.match(/HTTP\/1.1 \d/gu)?.length, 1, `${name}: one answer`);
      t.notOk(
        arrivedSince(before).some((one) => one.includes('hidden')),
        `${name}: the hidden request is none`,
      );
      for (const one of arrived.slice(before)) await waitFor(() => one.cancelled, { timeoutMs: 3_000 });
    }
  });

  await t.test('what is behind a body is the next request, and what is in it is none', async (t) => {
    const inner = head('/hidden');
    const before = arrived.length;
    const chunked = `${inner.length.toString(16)};x=y\r\n${inner}\r\n0\r\nX-Trailer: z\r\nImpersonate-User: root\r\n\r\n`;
    const text = await ask(
      t,
      served,
      headOf('POST', '/body', `Content-Length: ${String(inner.length)}`) +
        inner +
        headOf('POST', '/body', 'Transfer-Encoding: chunked') +
        chunked +
        headOf('GET', '/body', `Content-Length: ${String(inner.length)}`) +
        inner +
        headOf('DELETE', '/body', 'Expect: 100-continue', `Content-Length: ${String(inner.length)}`, close) +
        inner,
    );
    t.equal(text.match(/HTTP\/1.1 200/gu)?.length, 4);
    t.same(arrivedSince(before), ['a /body', 'a /body', 'a /body', 'a /body']);
    for (const { body, request } of arrived.slice(before)) {
      t.equal(body, inner);
      t.notMatch(request.headers.join('\n'), /transfer-encoding|impersonate|trailer|expect/iu);
    }
  });

  await t.test('a body behind a request to upgrade is no request', async (t) => {
    const before = arrived.length;
    const inner = head('/hidden');
    const upgrade = [
      'Connection: Upgrade, Content-Length',
      'Upgrade: websocket',
      `Content-Length: ${String(inner.length)}`,
    ];
    t.match(await ask(t, served, headOf('POST', '/api/v1/exec', ...upgrade) + inner), /^HTTP\/1.1 200/u);
    t.match(await ask(t, served, headOf('POST', '/../exec', ...upgrade) + inner + inner), /^HTTP\/1.1 400/u);
    t.same(arrivedSince(before), ['a /api/v1/exec']);
  });

  await t.test('offers of HTTP/2 are ignored', async (t) => {
    for (const value of ['h2c', 'H2C', 'h2']) {
      const before = arrived.length;
      const lines = ['Connection: Upgrade, HTTP2-Settings', `Upgrade: ${value}`, 'HTTP2-Settings: AAMAAABkAAQAAP__'];
      const client = await rawClient(t, served.restPort);
      client.write(head('/api', ...lines));
      await waitFor(() => served.arrived.length > before && client.text.endsWith('}'));
      client.write(`GET /healthz HTTP/1.1\r\nHost: g\r\n${lines.join('\r\n')}\r\n\r\n`);
      await client.until('"UP"').catch(() => client.until('ok'));
      client.write(head('/api', close));
      await waitFor(() => client.closed, { timeoutMs: 5_000 });
      t.equal(client.text.match(/HTTP\/1.1 200/gu)?.length, 3);
      t.notMatch(arrived[before]?.request, { upgrade: /./u });
      t.notMatch(arrived[before]?.request.headers.join('\n'), /upgrade|http2-settings/iu);
    }
  });

  await t.test('Connection takes away nothing that the gateway adds, and nothing of the body', async (t) => {
    const before = arrived.length;
    const named = 'Connection: close, Content-Length, Content-Type, traceparent, X-Secret, Impersonate-User';
    await ask(
      t,
      served,
      headOf('POST', '/body', named, 'Content-Type: a/b', 'X-Secret: x', 'Content-Length: 2') + 'ok',
    );
    const headers = arrived[before]?.request.headers ?? [];
    t.equal(arrived[before]?.body, 'ok');
    t.same([headers.includes('a/b'), headers.includes('X-Secret')], [true, false]);
  });

  await t.test('methods named as properties of objects are methods', async (t) => {
    for (const method of ['constructor', 'toString', '__proto__', 'hasOwnProperty', 'get', 'PROPFIND']) {
      const before = arrived.length;
      t.equal((await ask2(served, { ':method': method, ':path': `${prefix}/api/v1/pods` })).status, 200, method);
      t.equal((await ask2(served, { ':method': method, ':path': `${prefix}/` })).status, 200, method);
      t.equal(arrived[before]?.request.method, method);
    }
  });

  await t.test('who says to be a replica and names an account with large characters is answered', async (t) => {
    for (const shift of ['', 'x']) {
      const account = encodeURIComponent(shift + '😀'.repeat(600));
      const headers = { ':path': `/kubernetes/accounts/${account}/api`, 'x-agent-gateway-forwarded-by': 'other' };
      t.match(await ask2(served, headers), { status: 421 });
    }
  });

  await t.test('heads of 16 KiB pass; larger ones are refused', async (t) => {
    const large = `X-Large: ${'a'.repeat(15_000)}`;
    t.match(await ask(t, served, head('/api', large, close)), /^HTTP\/1.1 200[\s\S]*a{15000}/u);
    t.match(await ask(t, served, head('/api', large, large, close)), /^HTTP\/1.1 431/u);
    t.equal((await ask2(served, { ':path': `${prefix}/api`, 'x-large': 'a'.repeat(15_000) })).status, 200);
  });

  await t.test('nothing is left open', async (t) => {
    await waitFor(async () => !/requests_open\S* [1-9]/u.test(await (await fetch(`${served.restUrl}/metrics`)).text()));
    t.equal((await fetch(`${served.restUrl}${prefix}/api`)).status, 200);
  });
});
