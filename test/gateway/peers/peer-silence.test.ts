/** A peer that falls silent with its connections up: requests of the Kubernetes API do not wait for it for ever. */

import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'tap';
import { ApiForwarding, forwardedAnswerHeader } from '../../../src/gateway/peers/api-forwarding.js';
import { aRequest, Told } from '../../tunnel/tunnel-pair.js';
import { waitFor } from '../../wait.js';

const silence = { quietMs: 30, answerMs: 1_000 };

async function startPeer(t: { teardown(release: () => unknown): unknown }) {
  const peer = { frozen: false, asked: 0, answers: [] as ServerResponse[] };
  const server = createServer((request, response) => {
    if (request.url === '/healthz') {
      peer.asked += 1;
      if (!peer.frozen) response.end('{}');
    } else {
      peer.answers.push(response.setHeader(forwardedAnswerHeader, 'true'));
      if (request.url?.endsWith('/watch') === true) response.write('event\n');
    }
  });
  server.on('upgrade', (_request, socket) => {
    socket.on('error', () => undefined);
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Agent-Gateway-Forwarded: true\r\n\r\n',
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const baseUrl = `http://127.0.0.1:${String(port)}`;
  const forwarding = new ApiForwarding({
    address: { id: 'gateway-2', baseUrl },
    instanceId: 'gateway-1',
    tls: () => ({}),
    sign: undefined,
    silence,
  });
  t.teardown(async () => {
    await forwarding.close();
    server.closeAllConnections();
    server.close();
  });
  const start = (target: string, upgrade = '') => {
    const told = new Told();
    const request = { ...aRequest, method: 'GET', target, upgrade, lasting: true };
    const exchange = forwarding.start(request, { complete: upgrade === '' }, told);
    return { told, exchange };
  };
  return { peer, start };
}

test('requests to a silent peer fail, and new ones are not sent until it answers again', async (t) => {
  const { peer, start } = await startPeer(t);
  const all = [start('/get'), start('/watch'), start('/shell', 'SPDY/3.1')];
  await waitFor(() => peer.answers.length === 2 && all[1]?.told.text === 'event\n' && all[2]?.told.head);
  await waitFor(() => peer.asked >= 3, { description: 'a quiet peer to be asked' });
  t.notOk(
    all.some(({ told }) => told.failure),
    'one that answers is waited for',
  );
  peer.frozen = true;
  for (const { told } of all) {
    await waitFor(() => told.failure);
    t.match(told.failure, { code: 'owner-unreachable', message: /has fallen silent/u });
    t.equal(told.failure?.details.unsent, undefined, 'it may have been sent');
  }
  t.throws(() => start('/next'), { code: 'owner-unreachable' });
  t.equal(peer.answers.length, 2);
  peer.frozen = false;
  const next = await waitFor(() => start('/next'), { description: 'the peer to be found awake' });
  await waitFor(() => peer.answers.length === 3);
  peer.answers[2]?.end('done');
  await waitFor(() => next.told.trailers);
  t.equal(next.told.text, 'done');
});

test('nobody is asked while nothing is open', async (t) => {
  const { peer, start } = await startPeer(t);
  const { told } = start('/get');
  await waitFor(() => peer.answers.length === 1);
  peer.answers[0]?.end();
  await waitFor(() => told.trailers);
  const cancelled = start('/get');
  await waitFor(() => peer.asked > 0);
  cancelled.exchange.cancel('enough');
  const before = await waitFor(async () => {
    const asked = peer.asked;
    await new Promise((resolve) => setTimeout(resolve, silence.quietMs * 3));
    return peer.asked === asked ? asked : undefined;
  });
  t.equal(peer.asked, before);
});
