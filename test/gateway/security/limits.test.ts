/** Limits: each is shown to be missed where it is high, and to hold where it is low. */

import { createServer as createHttp1 } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { connect, type AddressInfo, type Server as NetServer, type Socket } from 'node:net';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { status } from '@grpc/grpc-js';
import { test, type Test } from 'tap';
import { endStalledConnections } from '../../../src/gateway/rest/stalled-connections.js';
import { startRedis } from '../../services/redis.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway, type RunningGateway } from '../running-gateway.js';
import { endHeaders, endStream, fields, frame, frameTypes, preface, restRequest } from './http2-frames.js';

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
    await waitFor(() => agent.all('registered').length > 0 || agent.end !== undefined, { timeoutMs: 10_000 });
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
  const refused = await waitFor(
    async () => {
      await burst(...replicas);
      const answer = await replicas[0].request('/armory/clouddrivers');
      return answer.status === 429 ? answer : undefined;
    },
    { timeoutMs: 10_000 },
  );
  t.match(refused.body, { type: 'urn:agent-gateway:problem:overloaded' });
  t.equal(refused.headers.get('retry-after'), '1');
  t.equal((await replicas[0].request('/healthz')).status, 200, 'probes are answered');

  await redis.stop();
  await waitFor(async () => [...(await burst(...replicas)).keys()].every((code) => code === 200), {
    timeoutMs: 20_000,
    description: 'all to be answered without Redis',
  });
});

async function listen(t: Test, server: NetServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test('connections that stall', async (t) => {
  const timeouts = { requestTimeoutMs: 500, idleTimeoutMs: 500 };
  const start = async (t: Test, defended: boolean) => {
    const answer = Buffer.alloc(50 << 20);
    const http1 = createHttp1((_request, response) => response.end(answer));
    const http2 = createHttp2((request, response) => {
      if (request.method === 'GET') response.end(answer);
    });
    http2.on('session', (session) => session.on('error', () => undefined));
    if (defended) endStalledConnections(http1, http2, timeouts);
    const connections = () => promisify(http1.getConnections.bind(http1))();
    return { http1: await listen(t, http1), http2: await listen(t, http2), connections };
  };
  const [open, strict] = [await start(t, false), await start(t, true)];
  const stall = (
    t: Test,
    port: number,
    bytes: Buffer,
    reads: boolean,
  ): { socket: Socket; readonly closed: boolean } => {
    const socket = connect(port, '127.0.0.1');
    const state = { socket, closed: false };
    t.teardown(() => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('close', () => (state.closed = true));
    socket.write(bytes);
    if (reads) socket.resume();
    return state;
  };
  const none = [0x4, 0] as const;
  const get = [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'g'],
  ] as const;
  const head = frame(frameTypes.headers, endHeaders | endStream, 1, fields(...get));
  const attacks: Readonly<
    Record<string, { readonly port: 'http1' | 'http2'; readonly bytes: Buffer; readonly reads: boolean }>
  > = {
    'an answer that is never read, HTTP/1.1': {
      port: 'http1',
      bytes: Buffer.from('GET / HTTP/1.1\r\nHost: g\r\n\r\n'),
      reads: false,
    },
    'a window that stays at zero': { port: 'http2', bytes: Buffer.concat([preface(none), head]), reads: true },
    'a session without a request': { port: 'http2', bytes: preface(), reads: true },
  };
  for (const [attack, { port, bytes, reads }] of Object.entries(attacks)) {
    await t.test(attack, async (t) => {
      const missed = stall(t, open[port], bytes, reads);
      const ended = stall(t, strict[port], bytes, reads);
      if (!reads) await waitFor(async () => (await open.connections()) === 1 && (await strict.connections()) === 1);
      // One that does not read does not hear of the end either.
      await waitFor(async () => (reads ? ended.closed : (await strict.connections()) === 0), {
        timeoutMs: 20_000,
        description: 'the connection to be ended',
      });
      if (!reads) t.equal(await open.connections(), 1);
      t.equal(missed.closed, false, 'without the defence it stays');
    });
  }
  await t.test('a request that is never finished, HTTP/2', async (t) => {
    const received: Buffer[] = [];
    const { socket } = stall(t, strict.http2, Buffer.concat([preface(), restRequest(1, 'POST', '/')]), true);
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    const reset = Buffer.from([0, 0, 4, frameTypes.reset, 0, 0, 0, 0, 1]);
    await waitFor(() => Buffer.concat(received).includes(reset), { timeoutMs: 10_000, description: 'RST_STREAM' });
  });
});

test('a caller that waits for its result is no stalled one', async (t) => {
  const http1 = createHttp1((_request, response) => {
    setTimeout(() => response.end('late'), 1_500);
  });
  const http2 = createHttp2();
  endStalledConnections(http1, http2, { requestTimeoutMs: 300, idleTimeoutMs: 300 });
  const port = await listen(t, http1);
  t.equal(await (await fetch(`http://127.0.0.1:${String(port)}/`)).text(), 'late');
});
