/** How fast answers come from an agent that is far away: the windows of flow control, not the network, are the limit. */

import { test } from 'tap';
import { startTcpProxy } from '../../tcp-proxy.js';
import { aRequest, sendAll, Told } from '../../tunnel/tunnel-pair.js';
import { waitFor } from '../../wait.js';
import { startAgent, startAgentsPort } from './agents-port.js';

const oneWayMs = 25;
const answerBytes = 2 << 20;
const answers = 4;

test('answers of an agent 50 ms away take few round trips', async (t) => {
  const port = await startAgentsPort(t);
  const proxy = await startTcpProxy({ port: Number(port.address.split(':')[1]) });
  t.teardown(() => proxy.close());
  const { session } = await startAgent(t, { ...port, address: `127.0.0.1:${String(proxy.port)}` }, (_, answer) => {
    const told = new Told();
    answer.respond({ status: 200, headers: [] });
    sendAll(answer, told, Buffer.alloc(answerBytes), 65_536);
    return told;
  });
  const ask = (): Told => {
    const told = new Told();
    const exchange = port.tunnels.open(session, { ...aRequest, method: 'GET' }, { complete: true }, told);
    told.reads = (bytes) => exchange.consumed(bytes);
    return told;
  };
  const near = ask();
  await waitFor(() => near.trailers);
  proxy.delay(oneWayMs);

  const startedAt = performance.now();
  const all = Array.from({ length: answers }, ask);
  await waitFor(() => all.every(({ trailers }) => trailers), { timeoutMs: 30_000 });
  const roundTrips = (performance.now() - startedAt) / (2 * oneWayMs);
  for (const { text } of all) t.equal(text.length, answerBytes);
  // With HTTP/2's default of 64 KiB, at least 128.
  t.ok(roundTrips < 100, `${roundTrips.toFixed(1)} round trips`);
});
