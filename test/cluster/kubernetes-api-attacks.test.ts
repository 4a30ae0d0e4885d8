/** Attackers of the Kubernetes API at replicas of their own: what one agent or caller does harms nobody else. */

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { test } from 'tap';
import type { TunnelFrame } from '../../src/tunnel/frames.js';
import { rawClient, type RawClient } from '../gateway/kubernetes-api/served.js';
import { RawAgent } from '../gateway/raw-agent.js';
import { hello, RawServe } from '../gateway/raw-serve.js';
import { waitFor } from '../wait.js';
import { callApi, metricSum } from './api-caller.js';
import { account, startApiCluster } from './api-cluster.js';
import { startCluster } from './cluster.js';

const openRequests = 'agent_gateway_kubernetes_requests_open';
/** More than the window of a request, in frames as large as they may be. */
const overrun = Array.from({ length: 10 }, (): TunnelFrame => ({
  kind: 'data',
  request: 1,
  data: Buffer.alloc(65_536, 'x'),
}));

test('an agent that sends more than its window allows', async (t) => {
  const { replicas, roles } = await startApiCluster(t, { size: 2 });
  const { owner, entry } = roles();
  const evil = await RawAgent.register(t, owner.agentsAddress, {
    agentId: 'evil',
    accounts: [{ name: 'evil' }],
    kubernetesApi: true,
  });
  const [registered] = evil.all('registered');
  for (const { restUrl, id } of [owner, entry]) {
    const before = evil.all('openKubernetesApi').length;
    const asked = callApi(restUrl, 'evil', { id: 'evil' }).then(
      ({ status }) => `status ${String(status)}`,
      () => 'cut',
    );
    await waitFor(() => evil.all('openKubernetesApi').length > before, { description: 'the stream to be asked for' });
    const stream = new RawServe(t, owner.agentsAddress, [hello('evil', Number(registered?.epoch))]);
    await waitFor(() => stream.frames.length > 0, { description: 'the request' });
    const head = { status: 200, headers: ['Content-Type', 'application/json'] };
    stream.send({ kind: 'response-head', request: 1, head, body: Buffer.alloc(0), complete: false }, ...overrun);
    t.match(await waitFor(() => stream.end), { code: 3, details: /more data than the window allows/u }, id);
    t.match(await asked, /^(?:cut|status 503)$/u, 'its caller gets no whole answer');
    const honest = await Promise.all(replicas.map((one) => callApi(one.restUrl, account, { id: `after-${id}` })));
    t.same(
      honest.map(({ status }) => status),
      [200, 200],
      'other agents go on',
    );
  }
  t.equal(evil.end, undefined, 'its operations go on');
  for (const { restUrl } of replicas) await waitFor(async () => (await metricSum(restUrl, openRequests)) === 0);
});

test("an agent that says to be another one's session", async (t) => {
  const names = ['victim', 'attacker'];
  const file = join(t.testdir({}), 'tokens.yml');
  const digest = (name: string): string => createHash('sha256').update(name).digest('hex');
  writeFileSync(file, `tokens:\n${names.map((name) => `  - {name: ${name}, sha256: ${digest(name)}}\n`).join('')}`);
  const { replicas } = await startCluster(t, { size: 1, settings: { 'kubesvc.grpc.auth.tokens.file': file } });
  const { restUrl, agentsAddress } = replicas[0] as (typeof replicas)[0];
  const register = async (name: string): Promise<RawAgent> => {
    const agent = new RawAgent(agentsAddress, credentials.createInsecure(), {}, `Bearer ${name}`);
    t.teardown(() => {
      agent.close();
    });
    agent.send({ case: 'register', value: { agentId: name, accounts: [{ name }], kubernetesApi: true } });
    await agent.next('registered');
    return agent;
  };
  const victim = await register('victim');
  const attacker = await register('attacker');
  const epochOf = (agent: RawAgent): number => Number(agent.all('registered')[0]?.epoch);
  const asked = callApi(restUrl, 'victim', { id: 'secret' });
  await victim.next('openKubernetesApi');
  for (const [agentId, epoch] of [
    ['victim', epochOf(victim)],
    ['attacker', epochOf(victim)],
    ['victim', epochOf(attacker)],
  ] as const) {
    const stolen = new RawServe(t, agentsAddress, [hello(agentId, epoch)], 'attacker');
    t.match(await waitFor(() => stolen.end), { code: 7, details: /^hello: / }, `${agentId}, ${String(epoch)}`);
    t.same(stolen.frames, [], 'it gets no request');
  }
  const own = new RawServe(t, agentsAddress, [hello('victim', epochOf(victim))], 'victim');
  const [request] = await waitFor(() => own.frames.length > 0 && own.frames);
  t.match(request, { kind: 'request-head', request: 1 }, 'the request is still there');
  const body = Buffer.from('{"id":"secret"}');
  own.send({ kind: 'response-head', request: 1, head: { status: 200, headers: [] }, body, complete: true });
  t.match(await asked, { status: 200, body: { id: 'secret' } });
});

test('10,000 upgrades that say nothing', async (t) => {
  const [most, waves, each] = [500, 20, 500];
  const { replicas, roles, agent } = await startApiCluster(t, {
    size: 2,
    settings: { 'kubesvc.kubernetesApi.maxRequests': 2 * most },
  });
  const { entry } = roles();
  const port = Number(new URL(entry.restUrl).port);
  const path = `/kubernetes/accounts/${account}/api/v1/namespaces/default/pods/web/exec?id=silent`;
  const upgrade = `GET ${path} HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n`;
  const held: RawClient[] = [];
  const answers = new Map<string, number>();
  for (let wave = 0; wave < waves; wave += 1) {
    const clients = await Promise.all(Array.from({ length: each }, () => rawClient(t, port)));
    for (const client of clients) client.write(upgrade);
    await waitFor(() => clients.every(({ text }) => text.includes('\r\n\r\n')), { description: 'all to be answered' });
    for (const client of clients) {
      const status = client.text.slice(9, 12);
      answers.set(status, (answers.get(status) ?? 0) + 1);
      if (status === '101') held.push(client);
    }
    const refused = clients.filter(({ text }) => !text.startsWith('HTTP/1.1 101'));
    await waitFor(() => refused.every(({ closed }) => closed), { description: 'those that were refused to end' });
  }
  t.same(Object.fromEntries(answers), { 101: most, 429: waves * each - most });
  for (const replica of replicas) {
    t.ok(await replica.get('/armory/agents'), `the rest of ${replica.id} goes on`);
    t.match(await callApi(replica.restUrl, account, { id: replica.id }), { status: 200 }, 'so do its other requests');
  }
  for (const { socket } of held) socket.destroy();
  for (const { restUrl } of replicas) await waitFor(async () => (await metricSum(restUrl, openRequests)) === 0);
  await waitFor(() => agent.openCount === 0);
  t.match(await callApi(entry.restUrl, account, { id: 'again' }), { status: 200 }, 'so does this one, afterwards');
});
