/** What the gateway says to agents that do something wrong, and that one agent's mistakes end nobody else's work. */

import { status } from '@grpc/grpc-js';
import { test } from 'tap';
import { ResultReceipt_Outcome } from '../../../src/protocol/generated/ops/operations_pb.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway } from '../running-gateway.js';

const handshakeTimeoutMs = 1_000;
const unknownId = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const pod = (account: string) => ({ account, get: { object: { kind: 'Pod', name: 'web' } } });

test('agents that do something wrong', async (t) => {
  const gateway = await startGateway(t, {
    'kubesvc.grpc.server.handshakeTimeoutMs': handshakeTimeoutMs,
    'kubesvc.grpc.server.maxAccountsPerAgent': 3,
  });
  const { agentsAddress: address } = gateway;
  const opened = (): RawAgent => {
    const agent = new RawAgent(address);
    t.teardown(() => agent.close());
    return agent;
  };
  const listed = async (): Promise<unknown> => (await gateway.request('/armory/agents')).body;

  await t.test('registrations that are refused name the field', async (t) => {
    const a = { name: 'a' };
    const bad: readonly (readonly [object, RegExp])[] = [
      [{ accounts: [a] }, /^register\.agent_id: expected the pod name/u],
      [{ agentId: 'with space', accounts: [a] }, /^register\.agent_id: /u],
      [{ agentId: 'x'.repeat(254), accounts: [a] }, /^register\.agent_id: /u],
      [{ agentId: 'x', zoneId: 'a\nb', accounts: [a] }, /^register\.zone_id: /u],
      [{ agentId: 'x' }, /^register\.accounts: expected at least one account, or dynamic_accounts: true$/u],
      [{ agentId: 'x', accounts: [a, { name: '' }] }, /^register\.accounts\[1\]\.name: expected/u],
      [{ agentId: 'x', accounts: [a, { name: 'ä' }] }, /^register\.accounts\[1\]\.name: expected/u],
      [{ agentId: 'x', version: 'x'.repeat(256), accounts: [a] }, /^register\.version: expected at most 255/u],
      [{ agentId: 'x', processId: '1', accounts: [a] }, /^register\.process_id: expected 16 to 64/u],
      [
        { agentId: 'x', accounts: [a, { name: 'b', kubeHost: 'x'.repeat(2_000) }] },
        /^register\.accounts\[1\]\.kube_host: expected at most 1024 printable characters, found 2000 characters$/u,
      ],
      [
        { agentId: 'x', accounts: [{ name: 'b', namespaces: ['n', 'a\0b'] }] },
        /^register\.accounts\[0\]\.namespaces\[1\]: expected at most 253 printable characters, found a control character$/u,
      ],
      [{ agentId: 'x', accounts: [a, a] }, /^register\.accounts\[1\]\.name: account "a" is named twice$/u],
    ];
    for (const [value, details] of bad) {
      const agent = opened();
      agent.send({ case: 'register', value });
      t.match(await agent.ended(), { code: status.INVALID_ARGUMENT, details });
    }
    const many = opened();
    many.send({ case: 'register', value: { agentId: 'x', accounts: [1, 2, 3, 4].map((n) => ({ name: `a${n}` })) } });
    t.match(await many.ended(), { code: status.RESOURCE_EXHAUSTED, details: /maxAccountsPerAgent/u });
    t.same(await listed(), [], 'none of them is an agent');
  });

  await t.test('an agent without accounts that waits for dynamic ones is welcome', async (t) => {
    const agent = await RawAgent.register(t, address, { agentId: 'dynamic', dynamicAccounts: true });
    t.equal(agent.end, undefined);
  });

  await t.test('the first message must be a Registration, and it must come', async (t) => {
    const early = opened();
    early.send({ case: 'pong', value: { sequence: 1n } });
    t.match(await early.ended(), {
      code: status.INVALID_ARGUMENT,
      details: /^register: expected a Registration as the first/u,
    });
    const garbage = opened();
    garbage.sendBytes(Buffer.from([0xff, 0xff, 0xff]));
    t.match(await garbage.ended(), { code: status.INVALID_ARGUMENT, details: /^not a valid ops\.AgentMessage/u });
    const empty = opened();
    empty.sendBytes(new Uint8Array());
    t.match(await empty.ended(), { code: status.INVALID_ARGUMENT, details: /^register: expected/u });
    const started = performance.now();
    const silent = opened();
    t.match(await silent.ended(), {
      code: status.DEADLINE_EXCEEDED,
      details: /^expected a Registration within 1000 ms$/u,
    });
    t.ok(performance.now() - started >= handshakeTimeoutMs - 50);
  });

  await t.test('a second Registration ends the stream', async (t) => {
    const agent = await RawAgent.register(t, address, { agentId: 'twice', accounts: [{ name: 'twice' }] });
    agent.send({ case: 'register', value: { agentId: 'other', accounts: [{ name: 'twice' }] } });
    t.match(await agent.ended(), {
      code: status.INVALID_ARGUMENT,
      details: /^register: this stream is registered already$/u,
    });
    await waitFor(async () => (await gateway.operate(pod('twice'))).status === 503, {
      description: 'its account to be free',
    });
  });

  await t.test('messages of a kind that is not known yet are ignored', async (t) => {
    const agent = await RawAgent.register(t, address, { agentId: 'newer', accounts: [{ name: 'newer' }] });
    // Field 900, length-delimited, empty.
    agent.sendBytes(Buffer.from([0xa2, 0x38, 0x00]));
    const answering = gateway.operate(pod('newer'));
    const { id } = await agent.next('operation');
    agent.send({ case: 'result', value: { operationId: id, status: 200 } });
    t.equal((await answering).status, 200);
  });

  await t.test('a result of what was not sent there is not taken', async (t) => {
    const [agent, thief] = await Promise.all([
      RawAgent.register(t, address, { agentId: 'owner', accounts: [{ name: 'owned' }] }),
      RawAgent.register(t, address, { agentId: 'thief', accounts: [{ name: 'stolen' }] }),
    ]);
    thief.send({ case: 'result', value: { operationId: unknownId, status: 200 } });
    const outcome = ResultReceipt_Outcome.UNKNOWN_OPERATION;
    t.match(await thief.next('receipt'), { operationId: unknownId, outcome });

    const answering = gateway.operate(pod('owned'));
    const { id } = await agent.next('operation');
    const forged = { operationId: id, account: 'owned', status: 200, message: 'forged' };
    for (let count = 0; count < 100; count += 1) thief.send({ case: 'result', value: forged });
    await waitFor(() => thief.all('receipt').filter(({ operationId }) => operationId === id).length === 100, {
      description: '100 receipts',
    });
    t.match(
      thief.all('receipt').filter(({ operationId }) => operationId === id),
      Array.from({ length: 100 }, () => ({ outcome })),
    );
    const warnings = gateway.log.filter(
      ({ msg }) => msg === 'result from an agent that was not sent the operation; ignored',
    );
    t.equal(warnings.length, 1, 'one warning, however many there are');
    agent.send({ case: 'result', value: { operationId: id, account: 'another', status: 200, message: 'genuine' } });
    t.match((await answering).body['result'], { message: 'genuine', account: 'owned' }, "the operation's account");
    t.match(await agent.next('receipt'), { operationId: id, outcome: ResultReceipt_Outcome.RECORDED });
  });

  await t.test('an oversized result fails its operation alone', async (t) => {
    const agent = await RawAgent.register(t, address, { agentId: 'large', accounts: [{ name: 'large' }] });
    const [first, second] = [gateway.operate(pod('large')), gateway.operate({ ...pod('large'), timeoutMs: 20_000 })];
    await waitFor(() => agent.all('operation').length === 2);
    const [large, small] = agent.all('operation');
    const text = new Uint8Array(5 << 20);
    agent.send({
      case: 'result',
      value: { operationId: large!.id, status: 200, body: { case: 'logs', value: { text } } },
    });
    t.match(await agent.next('receipt'), { operationId: large!.id, outcome: ResultReceipt_Outcome.TOO_LARGE });
    agent.send({ case: 'result', value: { operationId: small!.id, status: 200 } });
    const answers = (await Promise.all([first, second])).map(
      ({ status: code, body }) => [code, body['result']] as const,
    );
    const failed = answers.find(([, result]) => (result as { operationId: string }).operationId === large!.id);
    const done = answers.find(([, result]) => (result as { operationId: string }).operationId === small!.id);
    const message =
      /^the agent's result has 5\d{6} bytes; 4194304 are allowed \(kubesvc\.grpc\.server\.maxInboundMessageSize\)$/u;
    t.match(failed, [200, { status: 413, reason: 'RESOURCE_EXHAUSTED', account: 'large', message }]);
    t.match(done, [200, { status: 200 }], 'the other one on the same stream is untouched');
    const record = await waitFor(async () => {
      const { body } = await gateway.request(`/armory/agent/operations/${large!.id}`);
      return body['finalOutcome'] === undefined ? undefined : body;
    });
    t.match(record, { finalOutcome: 'failed', resultReceivedFromAgent: { result: { status: 413 } } });
  });

  await t.test('a message far over the limit ends the stream, and the account is free again', async (t) => {
    const registration = { agentId: 'huge', processId: 'the-only-process-of-it', accounts: [{ name: 'huge' }] };
    const agent = await RawAgent.register(t, address, registration);
    const scale = { account: 'huge', scale: { object: { kind: 'Deployment', name: 'web' }, replicas: 2 } };
    const answering = gateway.operate(scale);
    const { id } = await agent.next('operation');
    agent.send({ case: 'result', value: { operationId: id, message: 'x'.repeat(17 << 20) } });
    t.equal((await agent.ended()).code, status.RESOURCE_EXHAUSTED);
    const again = await RawAgent.register(t, address, registration);
    t.equal((await again.next('operation')).id, id, 'its process is asked again');
    again.send({ case: 'result', value: { operationId: id, status: 413, reason: 'RequestEntityTooLarge' } });
    t.match((await answering).body['result'], { operationId: id, status: 413 }, 'what it answers by itself ends it');
    t.match(await again.next('receipt'), { operationId: id, outcome: ResultReceipt_Outcome.RECORDED });
    again.close();
    await waitFor(async () => (await gateway.operate(pod('huge'))).status === 503, {
      description: 'its account to be free',
    });
  });

  await t.test('of two connections of one agent the newer one stays', async (t) => {
    const registration = { agentId: 'double', accounts: [{ name: 'double' }] };
    const older = await RawAgent.register(t, address, registration);
    const newer = await RawAgent.register(t, address, registration);
    t.match(await older.ended(), {
      code: status.ABORTED,
      details: /^a newer connection of agent double has registered$/u,
    });
    t.ok(newer.all('registered')[0]!.epoch > older.all('registered')[0]!.epoch);
    older.close();
    const answering = gateway.operate(pod('double'));
    const { id } = await newer.next('operation');
    newer.send({ case: 'result', value: { operationId: id, status: 200 } });
    t.equal((await answering).status, 200, 'the end of the older one took nothing from the newer one');
    t.match(await listed(), [{ agentId: 'dynamic' }, { agentId: 'double', accounts: ['double'] }].slice(1));
  });

  await t.test('an operation that the older connection had is answered on the newer one', async (t) => {
    const registration = { agentId: 'moved', accounts: [{ name: 'moved' }] };
    const older = await RawAgent.register(t, address, registration);
    const scale = { account: 'moved', scale: { object: { kind: 'Deployment', name: 'web' }, replicas: 2 } };
    const answering = gateway.operate(scale);
    const { id } = await older.next('operation');
    const newer = await RawAgent.register(t, address, registration);
    await older.ended();
    newer.send({ case: 'result', value: { operationId: id, account: 'moved', status: 200, message: 'kept' } });
    t.match((await answering).body['result'], { operationId: id, status: 200, message: 'kept' });
    t.match(await newer.next('receipt'), { operationId: id, outcome: ResultReceipt_Outcome.RECORDED });
  });

  await t.test('accounts come and go on an open stream', async (t) => {
    const agent = await RawAgent.register(t, address, { agentId: 'changing', accounts: [{ name: 'c1' }] });
    agent.send({ case: 'accountsAdded', value: { accounts: [{ name: 'c2' }] } });
    await waitFor(async () => (await gateway.operate(pod('c2'), 'wait=0')).status === 202, {
      description: 'c2 to be served',
    });
    agent.send({ case: 'accountsRemoved', value: { names: ['c1', 'not-its-own'] } });
    await waitFor(async () => (await gateway.operate(pod('c1'), 'wait=0')).status === 503, {
      description: 'c1 to be free',
    });
    agent.send({ case: 'accountsAdded', value: { accounts: [{ name: 'bad name' }] } });
    t.match(await agent.ended(), { code: status.INVALID_ARGUMENT, details: /accounts.*name: expected/u });
  });
});
