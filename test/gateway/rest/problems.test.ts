/** Every refusal of the REST API is an RFC 9457 problem that says what is wrong; nothing hangs, nothing is a bare 500. */

import { connect } from 'node:net';
import { once } from 'node:events';
import { test, type Test } from 'tap';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { gatewayId, startGateway, type Answer } from '../running-gateway.js';

const operations = '/armory/agent/operations';
const get = 'get { object { kind: "Pod" name: "web" } }';

interface Expected {
  readonly status: number;
  readonly kind: string;
  readonly detail: RegExp;
  readonly [field: string]: unknown;
}

function isProblem(t: Test, answer: Answer, { kind, ...fields }: Expected): void {
  t.match(
    answer.body,
    { type: `urn:agent-gateway:problem:${kind}`, title: /./u, instance: gatewayId, ...fields },
    String(fields.detail),
  );
  t.equal(answer.status, fields.status);
  t.equal(answer.headers.get('content-type')?.split(';')[0], 'application/problem+json');
}

test('refusals', async (t) => {
  const gateway = await startGateway(t, {
    'server.maxBodySize': 65_536,
    'kubesvc.grpc.server.maxInboundMessageSize': 16_384,
  });
  const agent = await RawAgent.register(t, gateway.agentsAddress, {
    agentId: 'agent',
    accounts: [{ name: 'here' }, { name: 'left' }],
  });
  const post = (path: string, body: string, type = 'application/json', headers = {}): Promise<Answer> =>
    gateway.request(path, { method: 'POST', headers: { 'content-type': type, ...headers }, body });

  await t.test('accounts', async (t) => {
    isProblem(t, await gateway.operate(`account: "nobody" ${get}`), {
      ...{ status: 404, kind: 'unknown-account', account: 'nobody' },
      detail: /account "nobody" is not known: no agent has registered it/u,
    });
    agent.send({ case: 'accountsRemoved', value: { names: ['left'] } });
    const answer = await waitFor(async () => {
      const { status, headers, body } = await gateway.operate(`account: "left" ${get}`, 'wait=0');
      return status === 202 ? undefined : { status, headers, body };
    });
    isProblem(t, answer, {
      ...{ status: 503, kind: 'no-agent', account: 'left' },
      detail: /account "left": no agent that serves it is connected/u,
    });
    t.match(answer.headers.get('retry-after'), /^[1-9]\d*$/u);
  });

  await t.test('text format', async (t) => {
    isProblem(t, await gateway.operate('account: "here"\n  get { objekt { } }'), {
      ...{ status: 400, kind: 'invalid-argument' },
      detail: /line 2, column 9.*objekt/u,
    });
    isProblem(t, await gateway.operate('account: "here'), {
      status: 400,
      kind: 'invalid-argument',
      detail: /line 1, column/u,
    });
    isProblem(t, await gateway.operate(`account: "here" id: "not-a-ulid" ${get}`), {
      ...{ status: 400, kind: 'invalid-argument', field: 'operation.id' },
      detail: /^operation\.id: expected a ULID .*got "not-a-ulid"$/u,
    });
    isProblem(t, await gateway.operate(get), {
      ...{ status: 400, kind: 'invalid-argument', field: 'operation.account' },
      detail: /^operation\.account: expected the name of an account$/u,
    });
    isProblem(t, await gateway.operate('account: "here"'), {
      ...{ status: 400, kind: 'invalid-argument', field: 'operation' },
      detail: /^operation: expected one request \(deploy, delete, get/u,
    });
  });

  await t.test('bodies', async (t) => {
    const refused = async (body: string, field: string, detail: RegExp): Promise<void> =>
      isProblem(t, await post(operations, body), { status: 400, kind: 'invalid-argument', field, detail });
    await refused('{"oper": "x"}', 'body.oper', /^body\.oper: unknown field; did you mean "operation"\?$/u);
    await refused('{"operation": "x", "zzz": 1}', 'body.zzz', /^body\.zzz: unknown field; known fields: operation$/u);
    await refused('{}', 'body.operation', /^body\.operation: missing; expected text or an object$/u);
    await refused('{"operation": 7}', 'body.operation', /^body\.operation: expected text or an object$/u);
    for (const body of ['[]', 'null', '"x"']) await refused(body, 'body', /^body: expected an object with operation$/u);
    await refused('{"operation": ', 'body', /^Body is not valid JSON/u);
    await refused('', 'body', /^Body cannot be empty/u);
    await refused(
      '{"operation": {"account": "here", "gett": {}}}',
      'operation',
      /^operation: not valid protobuf JSON: .*gett/u,
    );
    isProblem(t, await post(operations, 'account: "here"', 'text/plain'), {
      ...{ status: 415, kind: 'invalid-argument', field: 'content-type' },
      detail: /^content-type: expected application\/json or application\/x-protobuf$/u,
    });
    isProblem(t, await post(operations, '\u0005cut', 'application/x-protobuf'), {
      ...{ status: 400, kind: 'invalid-argument' },
      detail: /^not a valid sequence of ops\.Operation/u,
    });
  });

  await t.test('sizes', async (t) => {
    const almost = { account: 'here', deploy: { manifest: 'A'.repeat(21_312) } };
    isProblem(t, await gateway.operate(almost), {
      ...{ status: 413, kind: 'too-large', account: 'here' },
      detail: /^the operation has 16\d{3} bytes including what gateways add; 16384 are allowed/u,
    });
    isProblem(t, await gateway.operate({ account: 'here', deploy: { manifest: 'A'.repeat(30_000) } }), {
      ...{ status: 413, kind: 'too-large', account: 'here' },
      detail:
        /^the operation has \d+ bytes including what gateways add; 16384 are allowed \(kubesvc\.grpc\.server\.maxInboundMessageSize\)$/u,
    });
    isProblem(t, await gateway.operate({ account: 'here', deploy: { manifest: 'A'.repeat(100_000) } }), {
      ...{ status: 413, kind: 'too-large', field: 'body' },
      detail: /^body: larger than server\.maxBodySize allows$/u,
    });
    t.same(agent.all('operation'), [], 'none of them reached the agent');
  });

  await t.test('preferences', async (t) => {
    for (const prefer of ['wait=soon', 'wait=', 'wait=-1', 'wait=1e3', 'respond-async, wait=x']) {
      isProblem(t, await gateway.operate(`account: "here" ${get}`, prefer), {
        ...{ status: 400, kind: 'invalid-argument', field: 'prefer' },
        detail: /^prefer: expected wait=SECONDS, got "/u,
      });
    }
    t.same(agent.all('operation'), [], 'nothing was sent to the agent before the preference was read');
  });

  await t.test('what does not exist', async (t) => {
    isProblem(t, await gateway.request('/armory/agents/nobody'), {
      ...{ status: 404, kind: 'unknown-agent' },
      detail: /agent "nobody" is not connected/u,
    });
    isProblem(t, await gateway.request('/armory/clouddrivers/nobody'), {
      ...{ status: 404, kind: 'unknown-instance' },
      detail: /instance "nobody" is not among the members/u,
    });
    isProblem(t, await gateway.request(`${operations}/01ARZ3NDEKTSV4RRFFQ69G5FAV`), {
      ...{ status: 404, kind: 'unknown-operation', operationId: '01ARZ3NDEKTSV4RRFFQ69G5FAV' },
      detail: /is not known/u,
    });
    isProblem(t, await gateway.request('/armory/nothing'), {
      ...{ status: 404, kind: 'invalid-argument' },
      detail: /^no route GET \/armory\/nothing; see \/openapi\.json$/u,
    });
    isProblem(t, await gateway.request(operations, { method: 'DELETE' }), {
      ...{ status: 405, kind: 'invalid-argument' },
      detail: /^this path does not support DELETE, only GET, HEAD, POST$/u,
    });
    isProblem(t, await gateway.request('/armory/agents/%E0%A4%A'), {
      ...{ status: 400, kind: 'invalid-argument' },
      detail: /not a valid url component/u,
    });
    const result = 'operation_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV" status: 200';
    isProblem(t, await post('/armory/agent/operationresults', JSON.stringify({ result })), {
      ...{ status: 404, kind: 'unknown-operation', operationId: '01ARZ3NDEKTSV4RRFFQ69G5FAV' },
      detail: /is not known/u,
    });
  });

  await t.test('an id as long as Kubernetes allows is looked up', async (t) => {
    const agentId = 'a'.repeat(253);
    isProblem(t, await gateway.request(`/armory/agents/${agentId}`), {
      ...{ status: 404, kind: 'unknown-agent' },
      detail: /^agent "a+" is not connected$/u,
    });
    const long = await gateway.request(`/armory/agents/${agentId}a`);
    isProblem(t, long, { status: long.status, kind: 'invalid-argument', detail: /./u });
    t.ok(long.status >= 400 && long.status < 500);
  });

  await t.test('what is not HTTP/1.1 after all', async (t) => {
    const send = async (request: string): Promise<string> => {
      const socket = connect(gateway.restPort, '127.0.0.1');
      socket.write(request);
      let answer = '';
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      socket.on('error', () => undefined);
      await once(socket, 'close', { signal: AbortSignal.timeout(120_000) });
      return answer;
    };
    t.match(await send('GET /a b c HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 400 .*application\/problem\+json.*"status":400/su);
    const header = `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`;
    t.match(await send(header), /^HTTP\/1\.1 431 .*application\/problem\+json.*server\.maxHeaderSize/su);
  });

  await t.test('an operation id that was used before', async (t) => {
    agent.frames.length = 0;
    const id = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
    const scale = (replicas: number) => ({
      ...{ id, account: 'here' },
      scale: { object: { kind: 'Deployment', name: 'web' }, replicas },
    });
    const conflicts = async (): Promise<void> =>
      isProblem(t, await gateway.operate(scale(2)), {
        ...{ status: 409, kind: 'operation-conflict', operationId: id },
        detail: /was already used for a different operation/u,
      });

    const first = gateway.operate(scale(1));
    await agent.next('operation');
    await conflicts();
    const second = gateway.operate(scale(1));
    const early = await gateway.operate(scale(1), 'wait=0');
    t.equal(early.status, 202, 'the same while it is under way');
    t.equal(early.headers.get('location'), `/armory/agent/operations/${id}`);
    agent.send({ case: 'result', value: { operationId: id, account: 'here', status: 200, message: 'scaled' } });
    for (const answer of await Promise.all([first, second])) {
      t.equal(answer.status, 200);
      t.match(answer.body['result'], { operationId: id, status: 200, message: 'scaled' });
    }
    await conflicts();
    const again = await gateway.operate(scale(1));
    t.equal(again.status, 200, 'the same after it has ended');
    t.match(again.body['result'], { operationId: id, status: 200, message: 'scaled' });
    t.equal(agent.all('operation').length, 1, 'the agent was sent it once');
  });

  await t.test('no refusal was logged as a failure of ours', async (t) => {
    t.same(
      gateway.log.filter(({ level }) => level === 'error'),
      [],
    );
  });
});
