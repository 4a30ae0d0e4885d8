/** `ops list` over answers in pages: a search for something rare may answer with few records, or none, and a Link. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type Test } from 'tap';
import { list, type ListFilter } from '../../src/client/operation-commands.js';
import { createRestClient } from '../../src/client/rest-client.js';
import type { ClientSession } from '../../src/client/session.js';

const noFilter = {} as ListFilter;

function record(id: string): object {
  return { operationId: id, operationType: 'scale', account: 'prod', startTime: '2026-11-29T12:00:00.000Z' };
}

/** @returns what `ops list` prints, and the queries that it sent, if every page has `records` and a Link to the next one of `pages` */
async function run(t: Test, pages: readonly (readonly string[])[], filter: ListFilter = noFilter) {
  const queries: URLSearchParams[] = [];
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://gateway');
    const records = pages[queries.length] ?? [];
    queries.push(searchParams);
    response.setHeader('content-type', 'application/json');
    if (queries.length < pages.length)
      response.setHeader('link', `</armory/agent/operations?after=1764417600000.${queries.length}>; rel="next"`);
    response.end(JSON.stringify(records.map(record)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const client = createRestClient({
    baseUrl: `http://127.0.0.1:${port}`,
    signal: new AbortController().signal,
    timeoutMs: 5_000,
    credentials: { token: undefined, ca: undefined, cert: undefined, key: undefined },
  });
  let out = '';
  let told = '';
  const io = {
    stdout: { write: (text: string) => void (out += text) },
    stderr: { write: (text: string) => void (told += text) },
  };
  await list({ client, form: 'json', io } as unknown as ClientSession, filter);
  const ids = (JSON.parse(out) as { operationId: string }[]).map(({ operationId }) => operationId);
  return { ids, told, queries };
}

test('a search goes on until the list is full, or all was searched', async (t) => {
  const whole = await run(t, [['a'], [], ['b', 'c']]);
  t.same(whole.ids, ['a', 'b', 'c']);
  t.equal(whole.told, '');
  t.same(
    whole.queries.map((query) => query.get('after')),
    [null, '1764417600000.1', '1764417600000.2'],
  );
  const full = await run(t, [['a'], ['b'], ['c']], { ...noFilter, items: '2' });
  t.same(full.ids, ['a', 'b']);
  t.same(
    full.queries.map((query) => query.get('items')),
    ['2', '1'],
  );
  t.equal(full.told, '', 'there is more, and nobody asked for it');
});

test('a page by its number is one page', async (t) => {
  const { ids, queries } = await run(t, [['a'], ['b']], { ...noFilter, page: '1' });
  t.same(ids, ['a']);
  t.equal(queries.length, 1);
});
