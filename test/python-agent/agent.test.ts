/**
 * An agent in Python, written from docs/writing-an-agent.md on Debian's python3-grpcio, against the real gateway: the
 * protocol is what the document says, and not what our own client makes of it.
 */

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { test, type Test } from 'tap';
import { startGatewayDouble } from '../agent/gateway-double.js';
import { freePort } from '../free-port.js';
import { createOperationIds } from '../../src/gateway/operations/operation-id.js';
import { ResultReceipt_Outcome } from '../../src/protocol/generated/ops/operations_pb.js';
import { startGateway } from '../gateway/running-gateway.js';
import { startTcpProxy } from '../tcp-proxy.js';
import { waitFor } from '../wait.js';
import { PythonAgent, type Event, type PythonAgentOptions } from './python-agent.js';

const pod = (name: string) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'shop' } });
const manifest = (name: string) => Buffer.from(JSON.stringify(pod(name))).toString('base64');
const deploy = (account: string, name = 'web') => ({ account, deploy: { manifest: manifest(name) } });
const get = (account: string, name = 'web') => ({ account, get: { object: { kind: 'Pod', namespace: 'shop', name } } });
const logs = (account: string, limitBytes: number) => ({ account, logs: { object: { name: 'web' }, limitBytes } });
const newId = createOperationIds();

interface Outcome {
  readonly operationId: string;
  readonly status: number;
  readonly objects: { readonly manifests: readonly [string] };
}

const outcomeOf = ({ body }: { body: Readonly<Record<string, unknown>> }) => body['result'] as Outcome | undefined;

/** An agent whose id and account are `name`. */
function start(t: Test, address: string, name: string, options: Partial<PythonAgentOptions> = {}): PythonAgent {
  return PythonAgent.start(t, {
    addresses: [address],
    identity: { agent_id: name, zone_id: 'python_zone', version: '1' },
    accounts: [{ name }],
    ...options,
  });
}

/** The same, registered. */
async function registered(t: Test, address: string, name: string): Promise<PythonAgent> {
  const agent = start(t, address, name);
  await agent.next({ state: 'active' });
  return agent;
}

test('operations', async (t) => {
  const gateway = await startGateway(t);
  const proxy = await startTcpProxy({ port: gateway.agentsPort });
  t.teardown(() => proxy.close());
  const address = `127.0.0.1:${proxy.port}`;

  await t.test('registers, answers operations and gets receipts', async (t) => {
    const agent = await registered(t, address, 'plain');
    t.match((await gateway.request('/armory/agents/plain')).body, {
      accounts: ['plain'],
      agentId: 'plain',
      clouddriverId: 'gateway-under-test',
      type: 'kubernetes',
    });
    const deployed = outcomeOf(await gateway.operate(deploy('plain')));
    t.match(deployed, { status: 200, objects: { manifests: [manifest('web')] } });
    await agent.next({ receipt: deployed?.operationId, outcome: 'OUTCOME_RECORDED' });
    const got = outcomeOf(await gateway.operate(get('plain')));
    t.same(JSON.parse(Buffer.from(got?.objects.manifests[0] ?? '', 'base64').toString()), pod('web'));
    const missing = outcomeOf(await gateway.operate(get('plain', 'other')));
    t.match(missing, { status: 404, reason: 'NotFound', message: 'no Pod other' });
    const scale = { account: 'plain', scale: { object: { kind: 'Deployment', name: 'web' }, replicas: 2 } };
    t.match(outcomeOf(await gateway.operate(scale)), { status: 501, reason: 'NotImplemented' });
  });

  await t.test('executes an id once, however often it is sent', async (t) => {
    const agent = await registered(t, address, 'once');
    const operation = { id: newId(Date.now()), ...deploy('once') };
    agent.tell({ hold: true });
    const answers = [gateway.operate(operation), gateway.operate(operation)];
    await agent.next({ executes: operation.id });
    const resent = await gateway.request('/armory/agent/operations/database', { method: 'POST' });
    t.match(resent.body, [{ sent: 1 }], 'sent again while it runs');
    agent.tell({ hold: false });
    for (const answer of await Promise.all(answers)) t.match(outcomeOf(answer), { status: 200 });
    await agent.next({ receipt: operation.id, outcome: 'OUTCOME_RECORDED' });
    t.match(outcomeOf(await gateway.operate(operation)), { status: 200 }, 'answered from the record');
    t.equal(agent.all({ executes: operation.id }).length, 1);
  });

  await t.test('keeps a result while the connection is away, and sends it by itself', async (t) => {
    const agent = await registered(t, address, 'kept');
    const id = newId(Date.now());
    agent.tell({ hold: true });
    const answering = gateway.operate({ id, ...deploy('kept') });
    await agent.next({ executes: id });
    await proxy.cut();
    await agent.next({ state: 'backing-off' });
    agent.tell({ hold: false });
    await proxy.heal();
    await agent.next({ state: 'active' });
    t.match(outcomeOf(await answering), { operationId: id, status: 200 });
    await agent.next({ receipt: id, outcome: 'OUTCOME_RECORDED' });
    t.equal(agent.all({ executes: id }).length, 1, 'it was sent again, and not done again');
  });

  await t.test('a new process is not sent what an earlier one was sent', async (t) => {
    const agent = await registered(t, address, 'restarted');
    const id = newId(Date.now());
    agent.tell({ hold: true });
    const answering = gateway.operate({ id, ...deploy('restarted') });
    await agent.next({ executes: id });
    await agent.kill();
    const second = start(t, address, 'restarted');
    await second.next({ state: 'active' });
    const { status, body } = await answering;
    t.match(
      { status, detail: body['detail'] },
      { status: 502, detail: /^another process of agent restarted replaced/u },
    );
    t.match((await gateway.request(`/armory/agent/operations/${id}`)).body, { finalOutcome: 'agent lost' });
    t.equal(second.all({ executes: id }).length, 0);
  });

  await t.test('a result above max_message_bytes is answered 413, one that takes too long 504', async (t) => {
    const agent = await registered(t, address, 'large');
    const large = outcomeOf(await gateway.operate(logs('large', 5 << 20)));
    t.match(large, { status: 413, reason: 'RequestEntityTooLarge', message: /^the result has 5\d{6} bytes/u });
    await agent.next({ receipt: large?.operationId, outcome: 'OUTCOME_RECORDED' });
    t.match(outcomeOf(await gateway.operate(logs('large', 1_000))), { status: 200 }, 'the stream goes on');

    const id = newId(Date.now());
    agent.tell({ hold: true });
    const late = await gateway.operate({ id, ...deploy('large'), timeoutMs: 3_000 });
    t.equal(late.status, 504, 'its caller does not wait for the agent');
    await agent.next({ answers: id, status: 504 });
    await agent.next({ receipt: id, outcome: 'OUTCOME_RECORDED' });
  });

  await t.test('accounts come and go on the stream', async (t) => {
    const agent = await registered(t, address, 'changing');
    const served = (account: string, status: number) =>
      waitFor(
        async () => {
          const answer = await gateway.operate(get(account));
          return (outcomeOf(answer)?.status ?? answer.status) === status;
        },
        { timeoutMs: 60_000, description: `${String(status)} for ${account}` },
      );
    agent.tell({ add: [{ name: 'added' }] });
    await served('added', 404);
    agent.tell({ remove: ['added', 'changing'] });
    await served('added', 503);
    await served('changing', 503);
    agent.tell({ add: [{ name: 'changing' }] });
    await served('changing', 404);
    t.equal(
      agent.events.filter(({ ended }) => ended !== undefined).length,
      0,
      'on one stream, also without an account',
    );
    agent.tell({ add: [{ name: 'no name' }] });
    t.match(await agent.next({ state: 'backing-off' }), { status: 'INVALID_ARGUMENT', details: /name: expected/u });
  });

  await t.test('stops in order: refuses what is new, finishes what runs, half-closes', async (t) => {
    const agent = await registered(t, address, 'stopping');
    const id = newId(Date.now());
    agent.tell({ hold: true });
    const answering = gateway.operate({ id, ...deploy('stopping') });
    await agent.next({ executes: id });
    const stopped = agent.stop();
    await agent.next({ state: 'stopping' });
    const refused = outcomeOf(await gateway.operate(deploy('stopping', 'refused')));
    t.match(refused, { status: 503, reason: 'ServiceUnavailable' });
    agent.tell({ hold: false });
    t.match(outcomeOf(await answering), { operationId: id, status: 200 });
    t.equal(await stopped, 0);
    await agent.said({ receipt: id, outcome: 'OUTCOME_RECORDED' });
    await agent.said({ ended: 'OK' });
  });
});

test('what is bound to another process is refused, whatever gateway sends it', async (t) => {
  const gateway = await startGatewayDouble();
  t.teardown(() => gateway.stop());
  const agent = start(t, gateway.address, 'a');
  await agent.next({ state: 'active' });
  const bound = { boundAgentId: 'a', boundEpoch: 1_000n };
  gateway.streams[0]?.operation({ id: 'process', ...bound, boundProcessId: 'another-process-x' });
  await agent.next({ refused: 'process', status: 410 });
  gateway.streams[0]?.operation({ id: 'epoch', ...bound });
  await agent.next({ refused: 'epoch', status: 410 });
  t.same(agent.all({ executes: 'process' }), []);
});

test('an id whose receipt came is not executed again', async (t) => {
  const gateway = await startGatewayDouble();
  t.teardown(() => gateway.stop());
  const agent = start(t, gateway.address, 'a');
  await agent.next({ state: 'active' });
  const stream = gateway.streams[0];
  for (const outcome of ['UNSPECIFIED', 'RECORDED', 'TOO_LARGE', 'UNKNOWN_OPERATION'] as const) {
    const id = `op-${outcome}`;
    stream?.operation({ id });
    await agent.next({ answers: id });
    stream?.operation({ id });
    await agent.next({ answers: id });
    const receipt = { operationId: id, outcome: ResultReceipt_Outcome[outcome] };
    stream?.send({ case: 'receipts', value: { receipts: [receipt] } });
    await agent.next({ receipt: id, outcome: `OUTCOME_${outcome}` });
    stream?.operation({ id });
    await agent.next({ refused: id, status: 409 });
    t.equal(agent.all({ executes: id }).length, 1, `it is sent again until ${outcome}, then refused`);
  }
});

test('Reconnect: registers anew before it leaves, and what runs is answered', async (t) => {
  const gateway = await startGateway(t, { 'kubesvc.grpc.server.maxConnectionAgeSeconds': 3 });
  const agent = await registered(t, gateway.agentsAddress, 'moving');
  const id = newId(Date.now());
  agent.tell({ hold: true });
  const answering = gateway.operate({ id, ...deploy('moving') });
  await agent.next({ executes: id });
  await agent.next({ state: 'reconnecting', reason: 'REASON_REBALANCING' });
  await agent.next({ state: 'active' });
  agent.tell({ hold: false });
  t.match(outcomeOf(await answering), { operationId: id, status: 200 });
  t.equal(agent.all({ executes: id }).length, 1);
  const ended = await agent.said({ details: 'a newer connection of agent moving has registered' });
  t.equal(ended['ended'], 'ABORTED', 'the old stream');
  t.equal(agent.all({ state: 'backing-off' }).length, 0, 'is no reason to wait');
});

test('a link that fell silent is given up after three periods, and dialled again', async (t) => {
  const settings = { 'kubesvc.instances.heartbeatMs': 200, 'kubesvc.instances.leaseMs': 4_200 };
  const { agentsPort } = await startGateway(t, settings);
  const proxy = await startTcpProxy({ port: agentsPort });
  t.teardown(() => proxy.close());
  const agent = await registered(t, `127.0.0.1:${proxy.port}`, 'silent');
  await agent.next({ caches: ['silent'] });
  proxy.stall();
  await agent.next({ state: 'backing-off', status: 'CANCELLED' });
  await proxy.heal();
  await agent.next({ state: 'active' });
});

const accounts = (...names: string[]) => names.map((name) => ({ name }));

test('refusals of a gateway without identities', async (t) => {
  const { agentsAddress } = await startGateway(t, { 'kubesvc.grpc.server.maxAccountsPerAgent': 2 });
  const badName = start(t, agentsAddress, 'no name');
  const invalid = await badName.next({ state: 'backing-off' });
  t.match(invalid, { status: 'INVALID_ARGUMENT', details: /^register\.agent_id: expected/u });
  t.ok(isLong(invalid));

  const three = start(t, agentsAddress, 'three', { accounts: accounts('a', 'b', 'c') });
  const exhausted = await three.next({ state: 'backing-off' });
  t.match(exhausted, { status: 'RESOURCE_EXHAUSTED', details: /maxAccountsPerAgent/u });
  t.notOk(isLong(exhausted));

  const older = await registered(t, agentsAddress, 'twin');
  await registered(t, agentsAddress, 'twin');
  const aborted = await older.next({ state: 'backing-off' });
  t.match(aborted, { status: 'ABORTED', details: 'a newer connection of agent twin has registered' });
  t.ok(isLong(aborted), 'two processes with one id do not throw each other out without end');
});

test('refusals of a gateway that asks for tokens', async (t) => {
  const directory = t.testdir({});
  const [file, policyFile] = [join(directory, 'tokens.yml'), join(directory, 'policy.yml')];
  const sha256 = createHash('sha256').update('sesame').digest('hex');
  writeFileSync(file, JSON.stringify({ tokens: [{ name: 'team-a', sha256 }] }));
  const rule = { name: 'a', match: ['token:team-a'], zones: ['python_zone'], accounts: ['python-*'] };
  writeFileSync(policyFile, JSON.stringify({ agents: [rule] }));
  const { agentsAddress } = await startGateway(t, {
    'kubesvc.grpc.auth.tokens.file': file,
    'kubesvc.grpc.auth.policyFile': policyFile,
  });
  for (const token of ['', 'guess']) {
    const stranger = start(t, agentsAddress, 'python-stranger', { token });
    const refused = await stranger.next({ state: 'backing-off' });
    t.match(refused, { status: 'UNAUTHENTICATED', details: /token/u });
    t.ok(isLong(refused));
  }
  const greedy = start(t, agentsAddress, 'payments', { token: 'sesame' });
  const refused = await greedy.next({ state: 'backing-off' });
  t.match(refused, { status: 'PERMISSION_DENIED', details: /the policy does not allow payments for/u });
  t.ok(isLong(refused));

  const admitted = start(t, agentsAddress, 'python-a', { token: 'sesame' });
  await admitted.next({ state: 'active' });
  await admitted.next({ caches: ['python-a'] });
  await admitted.said({ acknowledged: 2 });
  t.pass('the token is shown on the stream of cached objects, too');
});

test('what is no gateway, or does not answer', async (t) => {
  const silent = await startGatewayDouble({ onRegister: () => undefined });
  t.teardown(() => silent.stop());
  const other = new Server();
  t.teardown(() => other.forceShutdown());
  const port = await promisify(other.bindAsync.bind(other))('127.0.0.1:0', ServerCredentials.createInsecure());
  const cases = [
    { status: 'UNAVAILABLE', address: `127.0.0.1:${await freePort()}`, long: false },
    { status: 'UNIMPLEMENTED', address: `127.0.0.1:${String(port)}`, long: true },
    { status: 'CANCELLED', address: silent.address, long: false },
  ];
  for (const { status, address, long } of cases) {
    const agent = start(t, address, 'a', { limits: { register: 3 } });
    const ended = await agent.next({ state: 'backing-off' });
    t.match(ended, { status });
    t.equal(isLong(ended), long);
  }
});

/** Whether an agent waits as one does that somebody has to help. */
function isLong({ seconds }: Event): boolean {
  return Number(seconds) > 20;
}
