/** Discovery from a list of base URLs, against real HTTP servers. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test, type Test } from 'tap';
import { silentLogger } from '../../src/core/logger.js';
import { StaticDiscovery, type StaticDiscoveryOptions } from '../../src/discovery/static.js';
import { freePort } from '../free-port.js';
import { Authority, type Issued } from '../gateway/security/authority.js';
import { waitFor } from '../wait.js';

const noSignal = new AbortController().signal;
const self = { id: 'self', baseUrl: 'http://127.0.0.1:1' };

class Peer {
  id: string;
  ready = true;
  answer: ((response: ServerResponse) => void) | undefined;
  readonly url: string;
  readonly #port: number;
  readonly #server: Server;

  constructor(id: string, port: number) {
    this.id = id;
    this.#port = port;
    this.url = `http://127.0.0.1:${String(port)}`;
    this.#server = createServer((request, response) => {
      if (request.url !== '/readyz') response.writeHead(404).end();
      else if (this.answer !== undefined) this.answer(response);
      else {
        const body = { id: this.id, status: this.ready ? 'ready' : 'starting' };
        response.writeHead(this.ready ? 200 : 503, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      }
    });
  }

  async start(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  connections(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.getConnections((_, count) => {
        resolve(count);
      });
    });
  }
}

async function startPeer(t: Test, id: string): Promise<Peer> {
  const peer = new Peer(id, await freePort());
  t.teardown(() => peer.stop());
  await peer.start();
  return peer;
}

function make(t: Test, peers: readonly Peer[], options: Partial<StaticDiscoveryOptions> = {}): StaticDiscovery {
  const baseUrls = peers.map(({ url }) => `${url}/`);
  const discovery = new StaticDiscovery({
    self,
    baseUrls,
    logger: silentLogger,
    intervalMs: 30,
    timeoutMs: 300,
    ...options,
  });
  t.teardown(() => discovery.stop());
  return discovery;
}

test('learns ids and readiness by asking, itself excepted', async (t) => {
  const [a, b] = [await startPeer(t, 'a'), await startPeer(t, 'b')];
  b.ready = false;
  const discovery = make(t, [b, a], { baseUrls: [b.url, `${a.url}/`, self.baseUrl, a.url] });
  await discovery.start(noSignal);
  t.match(discovery.instances(), [
    { id: 'a', baseUrl: a.url, ready: true },
    { id: 'b', baseUrl: b.url, ready: false },
    { id: 'self', baseUrl: self.baseUrl, ready: false },
  ]);
  t.equal(discovery.instances().length, 3);
  t.equal(discovery.state().status, 'known');
  discovery.setReady(true);
  t.equal(discovery.instance('self')?.ready, true);
  b.ready = true;
  await waitFor(() => discovery.instance('b')?.ready);
  const { lastUpdated = 0 } = discovery.instance('b') ?? {};
  await waitFor(() => (discovery.instance('b')?.lastUpdated ?? 0) > lastUpdated, { description: 'confirmations' });
});

test('members that speak TLS are asked with the trust of the moment', async (t) => {
  const authorities = [new Authority(t, 'before'), new Authority(t, 'after')] as const;
  const [before, after] = authorities.map((authority) => ({
    ca: authority.read(authority.certificate),
    ...authority.issue({ subject: '/CN=member', alternativeNames: 'DNS:member' }),
  }));
  if (before === undefined || after === undefined) throw new Error('two authorities');
  const pair = ({ certificate, key }: Issued) => ({ cert: readFileSync(certificate), key: readFileSync(key) });
  const server = createSecureServer(pair(before), (_request, response) => response.end('{"id":"a"}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `https://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  let ca = before.ca;
  const discovery = make(t, [], { baseUrls: [url], tls: () => ({ ca, servername: 'member' }) });
  await discovery.start(noSignal);
  t.equal(discovery.instance('a')?.ready, true);

  server.setSecureContext(pair(after));
  server.closeAllConnections();
  await waitFor(() => discovery.instance('a')?.ready === false, { description: 'a stranger not to be believed' });
  ca = after.ca;
  await waitFor(() => discovery.instance('a')?.ready);
});

test('one that stops answering keeps its id, and is not ready', async (t) => {
  const peer = await startPeer(t, 'a');
  const discovery = make(t, [peer]);
  await discovery.start(noSignal);
  await peer.stop();
  await waitFor(() => discovery.instance('a')?.ready === false);
  t.equal(discovery.state().status, 'known');
  peer.id = 'a-restarted';
  await peer.start();
  await waitFor(() => discovery.instance('a-restarted')?.ready);
  t.equal(discovery.instance('a'), undefined, 'another id at the URL is another instance');
});

test('while one has never answered the members are unknown, and the start does not wait for it', async (t) => {
  const [a, b] = [await startPeer(t, 'a'), new Peer('b', await freePort())];
  t.teardown(() => b.stop());
  const discovery = make(t, [a, b]);
  await discovery.start(noSignal);
  t.match(discovery.state(), { status: 'unknown', error: `no answer yet from ${b.url}/readyz` });
  t.ok(discovery.instance('a'));
  await b.start();
  await waitFor(() => discovery.state().status === 'known' && discovery.instance('b'));
});

test('silence, endless answers, answers without an id and redirects are no members', async (t) => {
  const answers: ((response: ServerResponse) => void)[] = [
    () => undefined,
    (response) => response.writeHead(200).write('{'),
    (response) => response.writeHead(200).end(JSON.stringify({ id: 'large', padding: 'x'.repeat(1_000_000) })),
    (response) => response.writeHead(200).end('{"status":"ready"}'),
    (response) => response.writeHead(200).end('null'),
    (response) => response.writeHead(302, { location: '/elsewhere' }).end(),
  ];
  const good = await startPeer(t, 'good');
  const bad = await Promise.all(answers.map(async (answer) => Object.assign(await startPeer(t, 'bad'), { answer })));
  const discovery = make(t, [...bad, good]);
  await discovery.start(noSignal);
  t.same(
    discovery.instances().map(({ id }) => id),
    ['good', 'self'],
  );
  t.equal(discovery.state().status, 'unknown');
});

test('a slow one does not delay the news of the others', async (t) => {
  const [slow, quick] = [await startPeer(t, 'slow'), await startPeer(t, 'quick')];
  slow.answer = () => undefined;
  const discovery = make(t, [slow, quick], { timeoutMs: 300_000 });
  const starting = discovery.start(noSignal);
  await waitFor(() => discovery.instance('quick'));
  await discovery.stop();
  await starting;
});

test('many members are asked without a warning', async (t) => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  t.teardown(() => {
    process.off('warning', onWarning);
  });
  const peers = await Promise.all(Array.from({ length: 15 }, (_, i) => startPeer(t, `peer-${String(i)}`)));
  const discovery = make(t, peers);
  await discovery.start(noSignal);
  await waitFor(() => discovery.instances().length === 16);
  await discovery.stop();
  t.same(warnings, []);
});

test('two URLs of one id: the first counts', async (t) => {
  const [a, b] = [await startPeer(t, 'same'), await startPeer(t, 'same')];
  const discovery = make(t, [a, b]);
  await discovery.start(noSignal);
  t.match(discovery.instances(), [{ id: 'same', baseUrl: a.url }, { id: 'self' }]);
});

test('the signal ends the start, and stop leaves no connection', async (t) => {
  const peer = await startPeer(t, 'a');
  peer.answer = () => undefined;
  const discovery = make(t, [peer], { timeoutMs: 60_000 });
  const controller = new AbortController();
  const starting = discovery.start(controller.signal);
  await waitFor(async () => (await peer.connections()) === 1);
  controller.abort(new Error('changed my mind'));
  await t.rejects(starting, { message: 'changed my mind' });
  await waitFor(async () => (await peer.connections()) === 0);
});
