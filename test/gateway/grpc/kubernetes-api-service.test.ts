/** `kubernetes.Api/Serve` and agents that break its rules, with a raw gRPC client. */

import { test, type Test } from 'tap';
import type { Session } from '../../../src/gateway/agents/session.js';
import type { TunnelFrame } from '../../../src/tunnel/frames.js';
import { aRequest, Told } from '../../tunnel/tunnel-pair.js';
import { waitFor } from '../../wait.js';
import { startAgentsPort } from '../kubernetes-api/agents-port.js';
import { RawAgent } from '../raw-agent.js';
import { hello, RawServe } from '../raw-serve.js';

const head = (request: number): TunnelFrame => ({
  ...{ kind: 'response-head', request, head: { status: 200, headers: [] } },
  ...{ body: Buffer.from('answer'), complete: true },
});

async function setUp(t: Test) {
  const port = await startAgentsPort(t);
  await RawAgent.register(t, port.address, { agentId: 'raw', accounts: [{ name: 'a' }], kubernetesApi: true });
  const session = port.registry.sessionOf(undefined, 'raw') as Session;
  return { ...port, session, epoch: session.agent.epoch };
}

test('the first message must be a Hello that names a session of this replica', async (t) => {
  const { address, epoch, tunnels } = await setUp(t);
  const wrong = [
    { frames: [hello('raw', epoch + 1)], code: 7 },
    { frames: [hello('other', epoch)], code: 7 },
    { frames: [head(1)], code: 3 },
    { frames: [hello('raw', epoch), hello('raw', epoch)], code: 3 },
  ];
  for (const { frames, code } of wrong) {
    const stream = new RawServe(t, address, frames);
    t.match(await waitFor(() => stream.end), { code, details: /hello: /u });
  }
  t.equal(tunnels.tunnelCount, 0);
});

test('a second stream of a session replaces the first, whose requests fail', async (t) => {
  const { address, epoch, tunnels, session } = await setUp(t);
  const first = new RawServe(t, address, [hello('raw', epoch)]);
  await waitFor(() => tunnels.tunnelCount === 1);
  const [lost, answered] = [new Told(), new Told()];
  tunnels.open(session, aRequest, { complete: true }, lost);
  await waitFor(() => first.frames.length === 1);
  const second = new RawServe(t, address, [hello('raw', epoch)]);
  await waitFor(() => lost.failure);
  t.match(lost.failure, { code: 'agent-lost', details: {} });
  t.match(await waitFor(() => first.end), { code: 10 });
  tunnels.open(session, aRequest, { complete: true }, answered);
  await waitFor(() => second.frames.length === 1);
  second.send(head(1));
  await waitFor(() => answered.trailers);
  t.equal(answered.text, 'answer');
});

test('an agent that breaks the protocol loses its stream, and its requests fail', async (t) => {
  const { address, epoch, tunnels, session } = await setUp(t);
  const stream = new RawServe(t, address, [hello('raw', epoch)]);
  const told = new Told();
  tunnels.open(session, aRequest, { complete: true }, told);
  await waitFor(() => stream.frames.length === 1);
  stream.send(head(2));
  t.match(await waitFor(() => stream.end), { code: 3, details: /no such request was sent/u });
  t.match(told, { failure: { code: 'agent-lost' }, head: undefined });
  t.strictSame([tunnels.openCount, tunnels.tunnelCount, session.state], [0, 0, 'active']);
});

test('an agent that half-closes its stream fails its requests, and is asked again', async (t) => {
  const { address, epoch, tunnels, session } = await setUp(t);
  const stream = new RawServe(t, address, [hello('raw', epoch)]);
  const told = new Told();
  tunnels.open(session, aRequest, { complete: true }, told);
  await waitFor(() => stream.frames.length === 1);
  stream.finish();
  await waitFor(() => told.failure);
  t.equal(told.failure?.details.unsent, undefined);
  t.equal(tunnels.tunnelCount, 0);
});
