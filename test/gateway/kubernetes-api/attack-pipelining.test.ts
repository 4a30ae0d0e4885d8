/** Attackers: several requests at once on one connection, which nobody's client sends. */

import { test } from 'tap';
import { waitFor } from '../../wait.js';
import { head, headOf, ok, rawClient, startServed } from './served.js';

const upgrading = ['Connection: Upgrade', 'Upgrade: websocket'] as const;

test('an upgrade behind a request that is under way harms nobody', async (t) => {
  const served = await startServed(t, {
    settings: { 'kubesvc.kubernetesApi.maxRequests': 100 },
    respond: ({ request, answer }) => {
      if (request.upgrade !== '') answer.respond({ status: 101, headers: ['Upgrade', 'websocket'] });
      else if (request.target !== '/held') ok(answer);
      return undefined;
    },
  });
  for (const second of ['/api/v1/namespaces/x/pods/y/exec', '/..', '/api/v1/exec']) {
    const client = await rawClient(t, served.restPort);
    client.write(head('/held') + head(second, ...upgrading));
    await waitFor(() => client.closed || client.text !== '', { timeoutMs: 5_000 });
    t.notMatch(client.text, /101 Switching/u, 'nothing is written into the answer of the first request');
    client.socket.destroy();
  }
  await waitFor(
    () => served.arrived.filter(({ request }) => request.target === '/held').every((one) => one.cancelled),
    {
      timeoutMs: 5_000,
    },
  );
  t.equal((await fetch(`${served.restUrl}/kubernetes/accounts/a/api`)).status, 200);
});

test('requests that wait behind another one end with their connection', async (t) => {
  const served = await startServed(t, { respond: () => undefined });
  const client = await rawClient(t, served.restPort);
  client.write(head('/one') + head('/two') + headOf('POST', '/three', 'Content-Length: 2') + 'xx');
  await waitFor(() => served.arrived.length === 3 && served.arrived[2]?.ended);
  client.socket.destroy();
  await waitFor(() => served.arrived.every(({ cancelled }) => cancelled !== undefined), { timeoutMs: 3_000 });
});

test('the answer to a request that waits behind another one can be cut off', async (t) => {
  const served = await startServed(t, {
    respond: ({ request, answer }) => {
      if (request.target === '/one') return undefined;
      answer.respond({ status: 200, headers: ['Content-Type', 'text/plain'] });
      answer.write(Buffer.from('half'));
      return undefined;
    },
  });
  const client = await rawClient(t, served.restPort);
  client.write(head('/one') + head('/two') + head('/three'));
  await waitFor(() => served.arrived.length === 3);
  const other = await rawClient(t, served.restPort);
  other.write(head('/four'));
  await other.until('half');
  served.arrived[1]?.answer.break('the API server went away');
  await waitFor(() => client.closed, { timeoutMs: 5_000 });
  t.notMatch(client.text, /half/u);
  await waitFor(() => served.arrived[0]?.cancelled, { timeoutMs: 3_000 });
});
