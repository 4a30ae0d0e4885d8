/** `agent-gateway serve` as a process that is told to stop: it drains, and a second signal ends it at once. */

import { Client, credentials, status } from '@grpc/grpc-js';
import { test } from 'tap';
import { Reconnect_Reason } from '../../src/protocol/generated/ops/operations_pb.js';
import { Replica } from '../cluster/replica.js';
import { RawAgent } from '../gateway/raw-agent.js';
import { mariaDbDatabase } from '../services/databases.js';
import { waitFor } from '../wait.js';

/** grpc.health.v1.Health/Check of everything, by hand: 1 is SERVING, 2 is NOT_SERVING. */
function health(client: Client): Promise<number> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest<Buffer, Buffer>(
      '/grpc.health.v1.Health/Check',
      (bytes) => bytes,
      (bytes) => bytes,
      Buffer.alloc(0),
      (error, answer) => (error === null ? resolve(answer?.[1] ?? 0) : reject(error)),
    );
  });
}

/** One of several, of which the others do not answer: agents are asked to go, and nothing else is needed to see it. */
const oneOfSeveral = { 'kubesvc.cluster': 'static', 'kubesvc.cluster-static.instances': 'http://127.0.0.1:9' };

test('SIGTERM: drains, serves meanwhile, and ends with 0', async (t) => {
  const endpointRemovalMs = 1_500;
  const replica = await Replica.spawn({
    id: 'leaving',
    settings: {
      ...oneOfSeveral,
      'sql.url': (await mariaDbDatabase(t)).url,
      'kubesvc.drain.endpointRemovalMs': endpointRemovalMs,
      'kubesvc.drain.reconnectSpreadMs': 0,
      'kubesvc.drain.timeoutMs': 20_000,
    },
  });
  t.teardown(() => replica.end('SIGKILL'));
  await replica.ready();
  const client = new Client(replica.agentsAddress, credentials.createInsecure());
  t.teardown(() => client.close());
  t.equal(await health(client), 1, 'SERVING');
  const registration = { agentId: 'agent', accounts: [{ name: 'here' }] };
  const agent = await RawAgent.register(t, replica.agentsAddress, registration);
  const operated = async (n: number): Promise<number> => {
    const answering = replica.operate({ account: 'here', get: { object: { kind: 'Pod' } } });
    const { id } = await waitFor(() => agent.all('operation')[n], { description: `operation ${n}` });
    agent.send({ case: 'result', value: { operationId: id, status: 200 } });
    return (await answering).status;
  };
  t.equal(await operated(0), 200);

  replica.signal('SIGTERM');
  const notReady = await waitFor(
    async () => {
      const answer = await fetch(`${replica.restUrl}/readyz`);
      return answer.status === 503 ? await answer.json() : undefined;
    },
    { description: 'readyz to say 503' },
  );
  t.match(notReady, { id: 'leaving', status: 'draining' });
  t.equal((await fetch(`${replica.restUrl}/healthz`)).status, 200, 'it is still alive');
  t.equal(await health(client), 2, 'NOT_SERVING');
  t.equal(await operated(1), 200, 'before load balancers have noticed');
  t.match(await agent.next('reconnect'), { reason: Reconnect_Reason.DRAINING });
  t.equal(await operated(2), 200, 'until the agent has left');
  const late = new RawAgent(replica.agentsAddress);
  t.teardown(() => late.close());
  late.send({ case: 'register', value: { agentId: 'late', accounts: [{ name: 'late' }] } });
  t.equal((await late.ended()).code, status.UNAVAILABLE, 'no new agents');
  t.equal(replica.exitCode, null);
  agent.finish();
  await waitFor(() => replica.exitCode !== null, { description: 'the process to end' });
  t.equal(replica.exitCode, 0);
  t.equal(replica.errors, '');
  t.match(replica.log.at(-1), { msg: 'stopped', code: 0 });
});

test('a second signal ends it at once', async (t) => {
  const { url } = await mariaDbDatabase(t);
  const settings = { ...oneOfSeveral, 'sql.url': url, 'kubesvc.drain.timeoutMs': 60_000 };
  const replica = await Replica.spawn({ id: 'hurried', settings });
  t.teardown(() => replica.end('SIGKILL'));
  await replica.ready();
  await RawAgent.register(t, replica.agentsAddress, { agentId: 'agent', accounts: [{ name: 'here' }] });
  replica.signal('SIGINT');
  await waitFor(() => replica.log.some(({ msg }) => msg === 'draining'), { description: 'the drain to begin' });
  const started = performance.now();
  t.equal(await replica.end('SIGINT'), 130);
  t.ok(performance.now() - started < 30_000);
});

test('alone, it does not wait for agents that have nowhere to go', async (t) => {
  const settings = { 'sql.url': 'pglite:memory', 'kubesvc.drain.timeoutMs': 60_000 };
  const replica = await Replica.spawn({ id: 'alone', settings });
  t.teardown(() => replica.end('SIGKILL'));
  await replica.ready();
  await RawAgent.register(t, replica.agentsAddress, { agentId: 'agent', accounts: [{ name: 'here' }] });
  const started = performance.now();
  t.equal(await replica.end('SIGTERM'), 0);
  t.ok(performance.now() - started < 50_000);
});
