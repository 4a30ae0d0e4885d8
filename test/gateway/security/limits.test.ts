/** Limits: each is shown to be missed where it is high, and to hold where it is low. */

import { connect } from 'node:net';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { test, type Test } from 'tap';
import { startRedis } from '../../services/redis.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway, type RunningGateway } from '../running-gateway.js';
import { metric } from './honest-agent.js';
import { frameTypes, preface, restRequest } from './http2-frames.js';

async function registrations(
  t: Test,
  { agentsAddress }: RunningGateway,
  count: number,
  token?: string,
): Promise<number[]> {
  const codes: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const agent = new RawAgent(agentsAddress, undefined, {}, token);
    t.teardown(() => agent.close());
    const name = `agent-${String(index)}`;
    agent.send({ case: 'register', value: { agentId: name, accounts: [{ name }] } });
    await waitFor(() => agent.all('registered').length > 0 || agent.end !== undefined);
    codes.push(agent.end?.code ?? 0);
  }
  return codes;
}

const full = status.RESOURCE_EXHAUSTED;

test('registrations of one address in a minute', async (t) => {
  const setting = 'kubesvc.grpc.server.maxRegistrationsPerMinute';
  t.same(await registrations(t, await startGateway(t), 5), [0, 0, 0, 0, 0]);
  const strict = await startGateway(t, { [setting]: 3 });
  t.same(await registrations(t, strict, 5), [0, 0, 0, full, full]);
});

test('agents of one identity', async (t) => {
  const directory = t.testdir({});
  const file = join(directory, 'tokens.yml');
  const digest = (token: string): string => createHash('sha256').update(token).digest('hex');
  writeFileSync(file, `tokens: [{name: a, sha256: ${digest('a')}}, {name: b, sha256: ${digest('b')}}]`);
  const strict = await startGateway(t, {
    'kubesvc.grpc.auth.tokens.file': file,
    'kubesvc.grpc.server.maxAgentsPerIdentity': 2,
  });
  t.same(await registrations(t, strict, 3, 'Bearer a'), [0, 0, full]);
  const other = new RawAgent(strict.agentsAddress, undefined, {}, 'Bearer b');
  t.teardown(() => other.close());
  other.send({ case: 'register', value: { agentId: 'other', accounts: [{ name: 'other' }] } });
  await other.next('registered');
});

test('requests of a caller, counted for all replicas together, and nobody is refused without Redis', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const limited = { 'server.maxRequestsPerSecond': 10, 'redis.connection': redis.url };
  const open = await startGateway(t);
  const replicas = [await startGateway(t, limited), await startGateway(t, limited)] as const;
  const burst = async (...gateways: readonly [RunningGateway, ...RunningGateway[]]): Promise<Map<number, number>> => {
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        (gateways[index % gateways.length] ?? gateways[0]).request('/armory/clouddrivers'),
      ),
    );
    const counts = new Map<number, number>();
    for (const answer of answers) counts.set(answer.status, (counts.get(answer.status) ?? 0) + 1);
    return counts;
  };
  t.same([...(await burst(open))], [[200, 60]], 'without a limit');
  const counts = await burst(...replicas);
  // The burst may cross the end of a second.
  t.ok((counts.get(200) ?? 0) <= 20 && (counts.get(429) ?? 0) >= 40, JSON.stringify([...counts]));
  const refused = await waitFor(async () => {
    await burst(...replicas);
    const answer = await replicas[0].request('/armory/clouddrivers');
    return answer.status === 429 ? answer : undefined;
  });
  t.match(refused.body, { type: 'urn:agent-gateway:problem:overloaded' });
  t.equal(refused.headers.get('retry-after'), '1');
  t.equal((await replicas[0].request('/healthz')).status, 200, 'probes are answered');

  await redis.stop();
  await waitFor(async () => [...(await burst(...replicas)).keys()].every((code) => code === 200), {
    description: 'all to be answered without Redis',
  });
});

test('connections that stall', async (t) => {
  const open = await startGateway(t);
  const strict = await startGateway(t, { 'server.requestTimeoutMs': 1_000, 'server.idleTimeoutMs': 1_000 });
  const stalled = (gateway: RunningGateway): Promise<number> =>
    metric(gateway, 'agent_gateway_refused_connections_total{port="rest",protocol="stalled"');
  const stall = (t: Test, { restPort }: RunningGateway, bytes: Buffer, reads: boolean) => {
    const socket = connect(restPort, '127.0.0.1');
    const state = { closed: false, received: Buffer.alloc(0) };
    t.teardown(() => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('close', () => (state.closed = true));
    if (reads) socket.on('data', (chunk: Buffer) => (state.received = Buffer.concat([state.received, chunk])));
    socket.write(bytes);
    return state;
  };
  const page = '/openapi.json';
  const pipelined = Buffer.from(`GET ${page} HTTP/1.1\r\nHost: g\r\n\r\n`.repeat(200));
  const noWindow = preface([0x4, 0]);
  const reset = Buffer.from([0, 0, 4, frameTypes.reset, 0, 0, 0, 0, 1]);
  const cases: readonly {
    readonly attack: string;
    readonly bytes: Buffer;
    readonly reads?: false;
    readonly over?: (state: ReturnType<typeof stall>) => boolean;
    readonly counted: number;
  }[] = [
    { attack: 'answers that are never read, HTTP/1.1', bytes: pipelined, reads: false, counted: 1 },
    {
      attack: 'a head that is never finished, HTTP/1.1',
      bytes: Buffer.from('GET / HTTP/1.1\r\nHost: g\r\nX-A: '),
      over: ({ received }) => received.includes('HTTP/1.1 408 '),
      counted: 0,
    },
    {
      attack: 'a body that is never finished, HTTP/1.1',
      bytes: Buffer.from('POST /armory/agent/operations HTTP/1.1\r\nHost: g\r\nContent-Length: 10\r\n\r\n{'),
      over: ({ received }) => received.includes('HTTP/1.1 408 '),
      counted: 0,
    },
    {
      attack: 'a window that stays at zero',
      bytes: Buffer.concat([noWindow, restRequest(1, 'GET', page)]),
      over: ({ closed }) => closed,
      counted: 1,
    },
    { attack: 'a session without a request', bytes: preface(), over: ({ closed }) => closed, counted: 0 },
    {
      attack: 'a request that is never finished, HTTP/2',
      bytes: Buffer.concat([preface(), restRequest(1, 'POST', '/armory/agent/operations')]),
      over: ({ received }) => received.includes(reset),
      counted: 1,
    },
  ];
  for (const { attack, bytes, reads = true, over, counted } of cases) {
    await t.test(attack, async (t) => {
      const before = await stalled(strict);
      const missed = stall(t, open, bytes, reads);
      const ended = stall(t, strict, bytes, reads);
      await waitFor(async () => over?.(ended) ?? (await stalled(strict)) > before, {
        description: 'the connection to be ended',
      });
      t.equal(await stalled(strict), before + counted, 'and counted');
      t.equal(await stalled(open), 0, 'without the defence it stays');
      t.equal(missed.closed || missed.received.includes(reset), false);
    });
  }

  await t.test('a caller that waits for its result is no stalled one', async (t) => {
    const agent = await RawAgent.register(t, strict.agentsAddress, { agentId: 'slow', accounts: [{ name: 'slow' }] });
    const before = await stalled(strict);
    const answering = strict.operate({ account: 'slow', get: { object: { kind: 'Pod', name: 'web' } } });
    const { id } = await agent.next('operation');
    // Longer than any of the two times.
    await sleep(2_500);
    agent.send({ case: 'result', value: { operationId: id, account: 'slow', status: 200 } });
    t.equal((await answering).status, 200);
    t.equal(await stalled(strict), before);
  });
});
