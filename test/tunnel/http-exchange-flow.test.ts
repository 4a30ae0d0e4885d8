/** Exchanges over HTTP/1.1: large bodies, readers that lag behind, callers that go. */

import { once } from 'node:events';
import { test } from 'tap';
import { readerWindowBytes } from '../../src/tunnel/window.js';
import { waitFor } from '../wait.js';
import { exchange, memory, mebibyte, startServer } from './http-exchanges.js';

test('a large answer waits for its reader', async (t) => {
  const { origin } = await startServer(t, (_request, response) => {
    let left = 200;
    const piece = Buffer.alloc(mebibyte);
    const more = (): void => {
      while (left > 0) {
        left -= 1;
        if (!response.write(piece)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
  });
  const before = memory();
  let [given, consumed, ahead, peak] = [0, 0, 0, 0];
  const { answer, exchange: opened } = exchange(
    t,
    origin,
    {},
    {
      first: { complete: true },
      onData: (data) => {
        given += data.length;
        ahead = Math.max(ahead, given - consumed);
        setImmediate(() => {
          consumed += data.length;
          opened.consumed(data.length);
          peak = Math.max(peak, memory());
        });
      },
    },
  );
  await answer;
  t.equal(given, 200 * mebibyte);
  t.ok(ahead <= readerWindowBytes, `${String(ahead)} bytes ahead`);
  t.ok(peak - before < 100 * mebibyte, `${String((peak - before) / mebibyte)} MiB`);
});

test('a reader that reads nothing stops the server', async (t) => {
  let written = 0;
  const { origin } = await startServer(t, (_request, response) => {
    const more = (): void => {
      do written += 65_536;
      while (response.write(Buffer.alloc(65_536)));
      response.once('drain', more);
    };
    more();
  });
  let given = 0;
  const { exchange: opened } = exchange(
    t,
    origin,
    {},
    {
      first: { complete: true },
      onData: (data) => {
        given += data.length;
      },
    },
  );
  await waitFor(() => given === readerWindowBytes);
  let last = -1;
  await waitFor(() => last === (last = written), { intervalMs: 200, description: 'the server to stop' });
  t.equal(given, readerWindowBytes);
  opened.consumed(10);
  await waitFor(() => given === readerWindowBytes + 10);
  opened.cancel('enough');
});

test('a large request waits for its server', async (t) => {
  const { origin, requests } = await startServer(t, () => undefined);
  const before = memory();
  let [sent, peak] = [0, 0];
  let drained: () => void = () => undefined;
  const { answer, exchange: opened } = exchange(
    t,
    origin,
    { method: 'POST' },
    {
      onDrain: () => {
        drained();
      },
    },
  );
  const piece = Buffer.alloc(32_768);
  const fill = (): void => {
    while (sent < 200 * mebibyte) {
      sent += piece.length;
      if (!opened.write(piece)) return;
    }
    opened.end();
  };
  drained = fill;
  fill();
  const [request, response] = await waitFor(() => requests[0]);
  let last = -1;
  await waitFor(() => last === (last = sent), { intervalMs: 200, description: 'the sender to stop' });
  t.ok(sent < 20 * mebibyte, `${String(sent / mebibyte)} MiB left for a server that does not read`);
  let received = 0;
  request.on('data', (data: Buffer) => {
    received += data.length;
    peak = Math.max(peak, memory());
  });
  request.on('end', () => response.end());
  await answer;
  t.equal(received, 200 * mebibyte);
  t.ok(peak - before < 100 * mebibyte, `${String((peak - before) / mebibyte)} MiB`);
});

test('an answer before the end of the request', async (t) => {
  const { origin } = await startServer(t, (_request, response) => response.writeHead(413).end('too large'));
  const { answer, exchange: opened } = exchange(t, origin, { method: 'POST' });
  opened.write(Buffer.from('a'));
  const { status, body } = await answer;
  t.equal(`${String(status)} ${body.toString()}`, '413 too large');
  t.ok(opened.write(Buffer.alloc(1_000_000)), 'the rest is not wanted');
  opened.end();
});

test('cancel() ends the request at the server within a second', async (t) => {
  const { origin, requests } = await startServer(t, (request, response) => {
    request.resume();
    if (request.method === 'GET') response.write('begun');
  });
  for (const method of ['GET', 'POST', 'PUT']) {
    const events: string[] = [];
    const { exchange: opened, answer } = exchange(
      t,
      origin,
      { method },
      {
        first: { body: Buffer.from('x'), complete: method !== 'POST' },
        onData: (data) => events.push(Buffer.from(data).toString()),
      },
    );
    void answer.catch(() => events.push('failed'));
    const [request, response] = await waitFor(() => requests.at(-1)?.[0].method === method && requests.at(-1));
    if (method === 'GET') await waitFor(() => events.length > 0);
    const closed = once(response, 'close', { signal: AbortSignal.timeout(1_000) });
    opened.cancel('the caller is gone');
    opened.write(Buffer.from('x'));
    await closed;
    t.ok(request.destroyed, method);
    t.strictSame(events, method === 'GET' ? ['begun'] : [], 'no event follows');
  }
  const { exchange: early, answer } = exchange(t, origin, { target: '/early' }, { first: { complete: true } });
  early.cancel('at once');
  let told = false;
  void answer.catch(() => (told = true));
  exchange(t, origin, {}, { first: { complete: true } });
  await waitFor(() => requests.length === 4);
  t.notOk(told);
  t.notOk(
    requests.some(([{ url }]) => url === '/early'),
    'nothing was sent',
  );
});
