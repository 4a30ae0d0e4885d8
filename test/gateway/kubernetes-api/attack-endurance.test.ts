/** Attackers: callers who hold what they do not use, or take nothing. All of it is bounded, and ends. */

import { connect as connectHttp2 } from 'node:http2';
import { test } from 'tap';
import { waitFor } from '../../wait.js';
import { head, headOf, ok, prefix, rawClient, startServed, type Arrived } from './served.js';

const upgrading = ['Connection: Upgrade', 'Upgrade: SPDY/3.1'] as const;
const piece = Buffer.alloc(65_536, 'x');

/** Writes until the reader has to be waited for, again and again. */
function endless({ answer }: Arrived) {
  const more = (): void => {
    while (answer.write(piece));
  };
  setImmediate(more);
  return { onDrain: more };
}

test('callers who hold on to requests', async (t) => {
  const maxRequests = 200;
  const served = await startServed(t, {
    settings: {
      'kubesvc.kubernetesApi.maxRequests': maxRequests,
      'server.idleTimeoutMs': 2_000,
      'server.requestTimeoutMs': 4_000,
    },
    respond: (arrived) => {
      const { request, answer } = arrived;
      const path = request.target.replace(/\?.*/u, '');
      if (path === '/silent') return undefined;
      if (path === '/upgraded') answer.respond({ status: 101, headers: ['Upgrade', 'SPDY/3.1'] });
      else if (path === '/endless-upgraded') {
        answer.respond({ status: 101, headers: ['Upgrade', 'SPDY/3.1'] });
        return endless(arrived);
      } else if (path === '/endless') {
        answer.respond({ status: 200, headers: [] });
        return endless(arrived);
      } else if (path === '/refused') {
        answer.respond({ status: 403, headers: ['Content-Length', '1000000'] });
        let left = 1_000_000;
        const more = (): void => {
          while (left > 0) {
            const some = piece.subarray(0, Math.min(left, piece.length));
            left -= some.length;
            if (!answer.write(some)) return;
          }
          answer.end();
        };
        setImmediate(more);
        return { onDrain: more };
      } else if (path === '/watch') answer.respond({ status: 200, headers: ['Content-Type', 'application/json'] });
      else ok(answer);
      return undefined;
    },
  });
  const open = async (): Promise<number> => {
    const text = await (await fetch(`${served.restUrl}/metrics`)).text();
    return [...text.matchAll(/requests_open\S* (\d+)/gu)].reduce((sum, [, count]) => sum + Number(count), 0);
  };
  const othersGoOn = async () => t.equal(await (await fetch(`${served.restUrl}${prefix}/api`)).text(), 'ok');

  await t.test(
    'upgrades and watches are bounded, and leave room; who gets none is told so, and leaves nothing',
    async (t) => {
      for (const [request, most] of [
        [head('/upgraded', ...upgrading), maxRequests / 2],
        [head('/silent', ...upgrading), maxRequests / 2],
        [head('/watch?watch=1'), maxRequests * 0.9],
      ] as const) {
        const clients = await Promise.all(Array.from({ length: most + 100 }, () => rawClient(t, served.restPort)));
        for (const client of clients) client.write(request);
        const refused = () => clients.filter(({ text }) => text.includes(' 429 '));
        await waitFor(async () => refused().length === 100 && (await open()) === most, { timeoutMs: 15_000 });
        await othersGoOn();
        t.match(refused()[0]?.text, /^Retry-After: 1\r$[\s\S]*"reason":"TooManyRequests"/mu);
        if (request.includes('Upgrade'))
          await waitFor(() => refused().every(({ closed }) => closed), {
            description: 'connections that were refused',
          });
        for (const client of clients) client.socket.destroy();
        await waitFor(async () => (await open()) === 0, { timeoutMs: 5_000 });
        await othersGoOn();
      }
      await waitFor(() => served.arrived.every(({ ended, cancelled }) => ended || cancelled), { timeoutMs: 5_000 });
    },
  );

  await t.test('who reads nothing delays nobody, and is ended', async () => {
    const paths = [head('/endless'), head('/endless-upgraded', ...upgrading)];
    const clients = await Promise.all(paths.map(() => rawClient(t, served.restPort)));
    clients.forEach(({ socket }, index) => {
      socket.pause();
      socket.write(paths[index] ?? '');
    });
    const session = connectHttp2(served.restUrl);
    session.on('error', () => undefined);
    session
      .request({ ':path': `${prefix}/endless` })
      .on('error', () => undefined)
      .pause();
    const unread = () => served.arrived.filter(({ request }) => request.target.startsWith('/endless'));
    await waitFor(() => unread().length === 3);
    await othersGoOn();
    await waitFor(() => unread().every(({ cancelled }) => cancelled !== undefined), { timeoutMs: 20_000 });
    await othersGoOn();
    session.destroy();
    for (const { socket } of clients) socket.destroy();
  });

  await t.test('an upgrade that is refused with a long answer is answered whole', async (t) => {
    const client = await rawClient(t, served.restPort);
    client.write(head('/refused', ...upgrading));
    await waitFor(() => client.closed, { timeoutMs: 10_000 });
    t.match(client.text, /^HTTP\/1.1 403 /u);
    t.ok(client.text.length > 1_000_000, String(client.text.length));
  });

  await t.test('a body that does not come ends its request', async (t) => {
    const partly = headOf('POST', '/slow', 'Content-Length: 100000') + 'a';
    const small = headOf('POST', '/slow', 'Content-Length: 100') + 'a';
    const chunked = `${headOf('POST', '/slow', 'Transfer-Encoding: chunked')}1\r\na\r\n`;
    const before = served.arrived.length;
    const clients = await Promise.all([partly, small, chunked].map(() => rawClient(t, served.restPort)));
    [partly, small, chunked].forEach((request, index) => clients[index]?.write(request));
    await waitFor(() => clients.every(({ closed }) => closed), { timeoutMs: 15_000 });
    for (const { text } of clients) t.notMatch(text, /^HTTP\/1.1 (?!200|408)/u);
    await waitFor(async () => (await open()) === 0);
    t.ok(served.arrived.length >= before);
  });

  await t.test('after an answer that did not wait for the body, the connection goes on', async (t) => {
    const client = await rawClient(t, served.restPort);
    const body = 'x'.repeat(500_000);
    client.write(headOf('POST', '/../x', 'Content-Length: 500000') + body);
    await client.until(' 400 ');
    client.write(headOf('POST', '/early', 'Content-Length: 500000') + body);
    await client.until(' 200 ');
    client.write(head('/api', 'Connection: close'));
    await waitFor(() => client.closed, { timeoutMs: 5_000 });
    t.equal(client.text.match(/HTTP\/1.1 200/gu)?.length, 2);
  });
});
