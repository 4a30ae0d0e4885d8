/** Requests to a real agent connection through the gateway's gRPC server: streams come and go, requests do not get lost. */

import { test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import type { Session } from '../../../src/gateway/agents/session.js';
import { createFrames } from '../../../src/gateway/grpc/frames.js';
import { exchangeWindowBytes, type TunnelAnswer, type TunnelledRequest } from '../../../src/tunnel/exchange.js';
import { aRequest, sendAll, Told } from '../../tunnel/tunnel-pair.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startAgent, startAgentsPort } from './agents-port.js';

/** Answers with what was sent, once all of it has come. */
function echo(_: TunnelledRequest, answer: TunnelAnswer): Told {
  const told = new Told();
  told.reads = (bytes) => answer.consumed(bytes);
  told.onEnd = () => {
    answer.respond({ status: 200, headers: ['content-type', 'text/plain'] });
    sendAll(answer, told, Buffer.concat(told.chunks), 20_000);
  };
  return told;
}

const frames = createFrames('gateway-1', 4 << 20);
const get = { ...aRequest, method: 'GET' };
const body = (text: string) => ({ body: Buffer.from(text), complete: true });

test('a stream is opened for the first request, ended when none comes, and opened again', async (t) => {
  const port = await startAgentsPort(t, { idleMs: 50 });
  const { session } = await startAgent(t, port, echo);
  for (const text of ['first', 'second']) {
    t.equal(port.tunnels.tunnelCount, 0);
    const told = new Told();
    port.tunnels.open(session, aRequest, body(text), told);
    t.equal(port.tunnels.waitingCount, 1);
    await waitFor(() => told.trailers);
    t.equal(port.tunnels.waitingCount, 0);
    t.match(told, { head: { status: 200 }, text });
    t.equal(port.tunnels.tunnelCount, 1);
    await waitFor(() => port.tunnels.tunnelCount === 0);
    t.equal(told.failure, undefined);
  }
  t.equal(port.connections(), 1);
});

test('requests are never lost when the stream ends for idleness meanwhile', async (t) => {
  const port = await startAgentsPort(t, { idleMs: 1 });
  const { session } = await startAgent(t, port, echo);
  for (let count = 0; count < 200; count += 1) {
    const told = new Told();
    port.tunnels.open(session, aRequest, body(String(count)), told);
    await waitFor(() => told.trailers ?? told.failure, { intervalMs: 1 + (count % 3) });
    t.equal(told.text, String(count));
  }
});

test('a body that comes while the stream is being opened', async (t) => {
  const port = await startAgentsPort(t);
  const { session } = await startAgent(t, port, echo);
  const told = new Told();
  const exchange = port.tunnels.open(session, aRequest, { body: Buffer.alloc(10, 1), complete: false }, told);
  told.reads = (bytes) => exchange.consumed(bytes);
  sendAll(exchange, told, Buffer.alloc(500_000, 2), 100_000);
  await waitFor(() => told.trailers);
  t.ok(Buffer.concat(told.chunks).equals(Buffer.concat([Buffer.alloc(10, 1), Buffer.alloc(500_000, 2)])));
});

test('1,000 requests at once, and one that nobody reads', async (t) => {
  const port = await startAgentsPort(t);
  const { session } = await startAgent(t, port, (request, answer) => {
    if (request.target !== '/large') return echo(request, answer);
    const told = new Told();
    answer.respond({ status: 200, headers: [] });
    sendAll(answer, told, Buffer.alloc(1_000_000), 65_536);
    return told;
  });
  const large = new Told();
  const slow = port.tunnels.open(session, { ...get, target: '/large' }, { complete: true }, large);
  await waitFor(() => Buffer.concat(large.chunks).length === exchangeWindowBytes);
  const all = Array.from({ length: 1_000 }, () => new Told());
  all.forEach((told, number) => port.tunnels.open(session, aRequest, body(`body ${number}`), told));
  t.equal(port.tunnels.openByAccount.get('a'), 1_001);
  await waitFor(() => all.every(({ trailers }) => trailers));
  all.forEach(({ text }, number) => text === `body ${number}` || t.fail(`${number} got ${text}`));
  t.equal(port.tunnels.openCount, 1);
  t.equal(Buffer.concat(large.chunks).length, exchangeWindowBytes);
  slow.cancel('enough');
  t.equal(port.tunnels.openCount, 0);
});

test('the end of the session fails what is open', async (t) => {
  const port = await startAgentsPort(t);
  const told = new Told();
  const atAgent = new Told();
  const { session } = await startAgent(t, port, () => atAgent);
  port.tunnels.open(session, get, { complete: true }, told);
  await waitFor(() => atAgent.trailers);
  t.equal(port.tunnels.busy(session), true);
  port.registry.closed(session, new GatewayError('cancelled', 'disconnected on request'));
  t.match(told.failure, { code: 'agent-lost', message: /disconnected on request/u });
  t.equal(told.failure?.details.unsent, undefined);
  await waitFor(() => atAgent.cancelled);
  t.throws(() => port.tunnels.open(session, get, { complete: true }, told), { code: 'no-agent' });
});

test('an agent that connects anew finishes its requests on the old connection, but watches end', async (t) => {
  const port = await startAgentsPort(t, { idleMs: 50 });
  const answers = new Map<string, TunnelAnswer>();
  const { session, connection } = await startAgent(t, port, (request, answer) => {
    answers.set(request.target, answer);
    answer.respond({ status: 200, headers: [] });
    return new Told();
  });
  const [watch, log] = [new Told(), new Told()];
  port.tunnels.open(session, { ...get, target: '/api/v1/pods?watch=true' }, { complete: true }, watch);
  t.equal(port.tunnels.busy(session), true, 'it waits for the stream');
  await waitFor(() => watch.head);
  t.equal(port.tunnels.busy(session), false, 'a watch is resumed elsewhere');
  port.tunnels.open(session, { ...get, target: '/log' }, { complete: true }, log);
  await waitFor(() => log.head);
  t.equal(port.tunnels.busy(session), true);
  session.send(frames.reconnect('requested', 0));
  await waitFor(() => watch.failure);
  const newer = await waitFor(() => {
    const found = port.registry.sessionOf(undefined, 'agent-1');
    return found === session ? undefined : found;
  });
  await waitFor(() => session.state === 'closed');
  t.equal(connection.state.name, 'active');
  const other = new Told();
  port.tunnels.open(newer, { ...get, target: '/other' }, { complete: true }, other);
  await waitFor(() => other.head);
  const answer = answers.get('/log');
  answer?.write(Buffer.from('last line'));
  await waitFor(() => log.text === 'last line');
  answer?.end();
  await waitFor(() => log.trailers);
  answers.get('/other')?.end();
  await waitFor(() => other.trailers);
  await waitFor(() => port.connections() === 1);
  await waitFor(() => port.tunnels.tunnelCount === 0);
});

test('an agent that is too old, one that does not come, and one with too many requests', async (t) => {
  const old = await startAgentsPort(t);
  const { session } = await startAgent(t, old, undefined);
  t.throws(() => old.tunnels.open(session, get, { complete: true }, new Told()), {
    code: 'not-implemented',
    message: 'agent agent-1 (version 1.2.3) does not know the Kubernetes API: update it',
  });

  const port = await startAgentsPort(t, { maxRequestsPerAgent: 2, openTimeoutMs: 20 });
  const agent = await RawAgent.register(t, port.address, {
    ...{ agentId: 'agent-2', accounts: [{ name: 'b' }], kubernetesApi: true },
  });
  const silent = port.registry.sessionOf(undefined, 'agent-2') as Session;
  const [first, second] = [new Told(), new Told()];
  port.tunnels.open(silent, get, { complete: true }, first);
  port.tunnels.open(silent, get, { complete: true }, second).cancel('gone');
  port.tunnels.open(silent, get, { complete: true }, new Told());
  t.throws(() => port.tunnels.open(silent, get, { complete: true }, new Told()), { code: 'overloaded' });
  await waitFor(() => first.failure);
  t.match(first.failure, { code: 'no-agent', message: /did not open its stream/u, details: { unsent: true } });
  t.equal(second.failure, undefined);
  t.equal(port.tunnels.openCount, 0);
  t.equal((await agent.next('openKubernetesApi')).$typeName, 'ops.OpenKubernetesApi');
});

test('upgraded connections to an agent leave room for its other requests', async (t) => {
  const port = await startAgentsPort(t, { maxRequestsPerAgent: 4 });
  const { session } = await startAgent(t, port, (request, answer) => {
    if (request.upgrade === '') {
      answer.respond({ status: 200, headers: [] });
      answer.end();
    } else answer.respond({ status: 101, headers: ['Upgrade', request.upgrade] });
    return { onData: () => undefined, onEnd: () => undefined, onDrain: () => undefined, onCancelled: () => undefined };
  });
  const open = (upgrade: string, told = new Told()) => {
    const exchange = port.tunnels.open(session, { ...get, upgrade }, { complete: upgrade === '' }, told);
    return { told, exchange };
  };
  const shells = [open('SPDY/3.1'), open('SPDY/3.1')];
  const refusal = {
    code: 'overloaded',
    message: /has 2 upgraded connections .* \(kubesvc.kubernetesApi.maxRequestsPerAgent: 4\)/u,
  };
  t.throws(() => open('SPDY/3.1'), refusal, 'before the stream is open');
  await waitFor(() => shells.every(({ told }) => told.head?.status === 101));
  t.throws(() => open('SPDY/3.1'), refusal, 'and afterwards');
  const plain = open('');
  await waitFor(() => plain.told.trailers);
  shells[0]?.exchange.cancel('gone');
  t.doesNotThrow(() => open('SPDY/3.1'), 'one has ended');
});
