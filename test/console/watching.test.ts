/** How the console reads and tells: once for all who watch, not at all for nobody, and never more than a slow watcher takes. */

import { setTimeout as pause } from 'node:timers/promises';
import { connect, constants } from 'node:http2';
import { request as http1 } from 'node:http';
import { once } from 'node:events';
import { test } from 'tap';
import { ClusterWatch, type ClusterWatchOptions } from '../../src/gateway/console/cluster-watch.js';
import { EventStream } from '../../src/gateway/console/event-stream.js';
import { ClusterReader } from '../../src/gateway/attention/cluster-reader.js';
import type { Failures } from '../../src/store/operations/failures.js';
import { Section } from '../../src/gateway/attention/section.js';
import { startGateway } from '../gateway/running-gateway.js';
import { waitFor } from '../wait.js';

const stopping = new AbortController().signal;

test('a section is read once for all who ask, rests, and keeps its value when reading fails', async (t) => {
  let now = 0;
  let reads = 0;
  let result: () => unknown = () => ({ a: 1 });
  const section = new Section({
    name: 'things',
    read: async () => {
      reads += 1;
      now += 100;
      return result();
    },
    // The wall clock goes back all the time, which changes nothing.
    ...{ periodMs: 500, stopping, now: () => 1e12 - 10 * now, steadyTime: () => now },
  });
  t.throws(() => section.required(), { code: 'dependency-unavailable', message: 'things cannot be read: not yet' });
  await Promise.all([section.refresh(), section.refresh()]);
  t.equal(reads, 1);
  t.equal(section.version, 1);
  now += 899;
  await section.refresh();
  t.equal(reads, 1, 'it took 100 ms, so it rests for 900');
  now += 1;
  await section.refresh();
  t.equal(reads, 2);
  t.equal(section.version, 1, 'nothing has changed');
  now += 900;
  result = () => {
    throw new Error('a password');
  };
  await section.refresh();
  t.match(
    section,
    { value: { a: 1 }, version: 1, error: /^unexpected error/ },
    'says nothing that is not safe to show',
  );
  now += 900;
  result = () => ({ a: 2 });
  await section.refresh();
  t.match(section, { value: { a: 2 }, version: 2, error: undefined });
});

test('nothing is read while nobody watches', async (t) => {
  let reads = 0;
  const counted = async () => {
    reads += 1;
    return [];
  };
  const reader = new ClusterReader({
    assignments: { list: async function* () {} },
    presence: { offline: () => Promise.resolve({ agents: [], accounts: [], truncated: false }) },
    operations: { failures: () => Promise.resolve({ accounts: [], total: 0, more: false }) },
    instances: { live: counted, lost: () => Promise.resolve([]) },
    everyInstance: { ask: () => Promise.resolve([]) },
    readiness: { report: () => ({ ready: true, status: 'ready', since: 0, checks: {} }) },
    ...{ leaseMs: 1_000, stopping, now: Date.now },
  });
  const watch = new ClusterWatch({
    reader,
    operations: { list: counted, page: async () => ({ records: await counted() }), outcomeCounts: counted },
    dynamicAccounts: undefined,
    accounts: { properties: () => Promise.resolve(new Map()) },
    discovery: { instances: () => [], state: () => ({ status: 'known', since: 0 }) },
    ...{ stopping, now: Date.now },
  } satisfies ClusterWatchOptions);
  let told = 0;
  const ends = [watch.subscribe(() => (told += 1)), watch.subscribe(() => (told += 1))];
  await waitFor(() => told === 2);
  t.equal(reads, 4, 'once for both');
  for (const end of ends) end();
  // Longer than its period.
  await pause(2_500);
  t.equal(reads, 4);
  for (let page = 0; page < 200; page += 1) await watch.operationPage({ items: 10, page });
  const before = reads;
  await watch.operationPage({ items: 10, page: 199 });
  t.equal(reads, before, 'the same question is asked once per period');
});

test('what takes long to read does not hold up the rest', async (t) => {
  let failures: (value: Failures) => void = () => undefined;
  const slow = (): Promise<Failures> => new Promise((resolve) => (failures = resolve));
  const quick = () => Promise.resolve([]);
  const reader = new ClusterReader({
    assignments: { list: async function* () {} },
    presence: { offline: () => Promise.resolve({ agents: [], accounts: [], truncated: false }) },
    operations: { failures: slow },
    instances: { live: quick, lost: quick },
    everyInstance: { ask: quick },
    readiness: { report: () => ({ ready: true, status: 'ready', since: 0, checks: {} }) },
    ...{ leaseMs: 1_000, stopping, now: Date.now },
  });
  const watch = new ClusterWatch({
    reader,
    operations: { list: quick, page: () => Promise.resolve({ records: [] }), outcomeCounts: quick },
    dynamicAccounts: undefined,
    accounts: { properties: () => Promise.resolve(new Map()) },
    discovery: { instances: () => [], state: () => ({ status: 'known', since: 0 }) },
    ...{ stopping, now: Date.now },
  });
  let told = 0;
  const end = watch.subscribe(() => (told += 1));
  t.teardown(end);
  // Sooner than the period of 2 s.
  const soon = { timeoutMs: 1_500 };
  await waitFor(() => told === 1, soon);
  t.same(watch.unread(), ['failures']);
  t.same(watch.agents.value, { agents: [], truncated: false });
  failures({ accounts: [], total: 0, more: false });
  await waitFor(() => told === 2, soon);
  t.same(watch.unread(), []);
});

test('a watcher that does not read gets the newest state, not all before it', async (t) => {
  let newest = '0';
  const stream = new EventStream({ newest: () => newest, stalledMs: 60_000, pingMs: 60_000 });
  t.teardown(() => stream.destroy());
  for (let state = 1; state <= 1_000; state += 1) {
    newest = String(state);
    stream.notify();
  }
  t.ok(stream.readableLength < 100, 'no queue');
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await waitFor(() => text.includes('data: 1000\n\n'));
  t.ok(text.split('event: overview').length <= 3);
  stream.end();
  await once(stream, 'close');
});

test('a watcher that does not read for long is let go', async (t) => {
  let newest = '0';
  const stream = new EventStream({ newest: () => newest, stalledMs: 20, pingMs: 60_000 });
  newest = '1';
  stream.notify();
  await once(stream, 'close');
  t.ok(stream.destroyed);
});

test('streams of a replica: HTTP/1.1 and HTTP/2, bounded, ended when it stops', async (t) => {
  const gateway = await startGateway(t);
  const session = connect(gateway.restUrl);
  session.on('error', () => undefined);
  t.teardown(() => session.destroy());
  const second = session.request({ [constants.HTTP2_HEADER_PATH]: '/console/events' });
  second.on('error', () => undefined);
  let text = '';
  second.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await waitFor(() => text.includes('event: overview'));
  t.match(JSON.parse(/data: (.*)/.exec(text)?.[1] ?? ''), { replicas: [{ id: 'gateway-under-test', ready: true }] });

  const first = http1(`${gateway.restUrl}/console/events`).end();
  first.on('error', () => undefined);
  t.teardown(() => first.destroy());
  await once(first, 'response');
  const others = Array.from({ length: 62 }, () =>
    session.request({ [constants.HTTP2_HEADER_PATH]: '/console/events' }),
  );
  for (const other of others) other.on('error', () => undefined);
  await Promise.all(others.map((other) => once(other, 'response')));
  const refused = await gateway.request('/console/events');
  t.equal(refused.status, 429);
  t.match(refused.body, { type: 'urn:agent-gateway:problem:overloaded' });
  others[0]?.close();
  await waitFor(async () => {
    const controller = new AbortController();
    const { status } = await fetch(`${gateway.restUrl}/console/events`, { signal: controller.signal });
    controller.abort();
    return status === 200;
  });
  const start = performance.now();
  await gateway.gateway.stop();
  t.ok(performance.now() - start < 60_000, 'stopped although streams were open');
});

test('assets and answers', async (t) => {
  const gateway = await startGateway(t);
  const page = await fetch(`${gateway.restUrl}/console`);
  t.match(page.headers.get('content-type'), /text\/html/);
  const etag = page.headers.get('etag') ?? '';
  const again = await fetch(`${gateway.restUrl}/console`, { headers: { 'if-none-match': etag } });
  t.equal(again.status, 304);
  t.equal((await fetch(`${gateway.restUrl}/console/`)).url, `${gateway.restUrl}/console`);
  for (const path of ['tsconfig.json', 'vendor/lit-html.d.ts', '../../package.json', '%2e%2e%2fgateway.ts']) {
    t.equal((await fetch(`${gateway.restUrl}/console/${path}`)).status, 404, path);
  }
  for (const query of [
    'agents?page=-1',
    'agents?caching=perhaps',
    'operations?after=nowhere',
    'operations?outcome=fine',
  ]) {
    t.equal((await gateway.request(`/console/data/${query}`)).status, 400, query);
  }
  t.equal((await gateway.request('/console/data/dynamic-accounts')).status, 501, 'off, as /armory/accounts is');
  const { body } = await gateway.request('/openapi.json');
  t.notOk(
    Object.keys(body['paths'] as object).some((path) => path.startsWith('/console')),
    'not an API for others',
  );
});
