/** Callers of a replica that stops: they are told to try again, and their connections end, so that they do so elsewhere. */

import { connect as connectHttp2 } from 'node:http2';
import { test } from 'tap';
import { waitFor } from '../../wait.js';
import { head, headOf, ok, prefix, rawClient, startServed } from './served.js';

test('connections end with the next answer', async (t) => {
  const served = await startServed(t, {
    settings: { 'kubesvc.drain.timeoutMs': 60_000 },
    respond: ({ request, answer }) => {
      if (request.target !== '/held') ok(answer);
      return undefined;
    },
  });
  const clients = await Promise.all([1, 2, 3].map(() => rawClient(t, served.restPort)));
  const [held, reading, writing] = clients as [(typeof clients)[0], (typeof clients)[0], (typeof clients)[0]];
  for (const client of clients) {
    client.write(head('/before'));
    await client.until('ok');
  }
  held.write(head('/held'));
  const waiting = await waitFor(() => served.arrived.find(({ request }) => request.target === '/held'));
  const session = connectHttp2(`http://127.0.0.1:${String(served.restPort)}`);
  t.teardown(() => {
    session.destroy();
  });
  await new Promise((resolve) => session.once('connect', resolve));
  const stopped = served.gateway.stop();
  await waitFor(() => served.log.some(({ msg }) => msg === 'draining'));

  const refused = new Promise((resolve) => {
    session.request({ ':path': `${prefix}/later` }).on('response', (headers) => {
      resolve(headers[':status']);
    });
  });
  t.equal(await refused, 503, 'HTTP/2');
  await waitFor(() => session.closed);
  for (const [client, method] of [
    [reading, 'GET'],
    [writing, 'POST'],
  ] as const) {
    client.write(headOf(method, '/later', 'Content-Length: 0'));
    const text = await client.until('Service Unavailable');
    t.match(text, /\r\nRetry-After: 5\r\n/u, method);
    t.match(text, /\r\nConnection: close\r\n/u);
    await waitFor(() => client.closed);
  }
  t.notOk(held.closed, 'one with a request under way');
  ok(waiting.answer, 'late');
  t.match(await held.until('late'), /\r\nConnection: close\r\n[\s\S]*late$/u);
  await stopped;
});
