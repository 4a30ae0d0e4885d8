/** A database that stops answering keeps no caller past the deadline, and what it takes later is not done. */

import { test, type Test } from 'tap';
import { mariaDbDatabase } from '../../services/databases.js';
import { startTcpProxy } from '../../tcp-proxy.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway } from '../running-gateway.js';

/** A gateway, whose database is behind a proxy, with one agent. */
/** So long may one statement take (sql.queryTimeoutMs): who waited for the database would be answered after it. */
const statementMs = 10_000;

async function setUp(t: Test) {
  const { url } = await mariaDbDatabase(t);
  const target = new URL(url);
  const proxy = await startTcpProxy({ port: Number(target.port) });
  t.teardown(() => proxy.close());
  target.port = String(proxy.port);
  const gateway = await startGateway(t, { 'sql.url': target.href });
  const agent = await RawAgent.register(t, gateway.agentsAddress, { agentId: 'agent', accounts: [{ name: 'prod' }] });
  return { proxy, gateway, agent };
}

test('an operation whose time is over before the database has it', async (t) => {
  const { proxy, gateway, agent } = await setUp(t);

  const operation = { account: 'prod', timeoutMs: 1_000, restart: { object: { kind: 'Deployment', name: 'web' } } };
  proxy.stall();
  const started = performance.now();
  const answer = await gateway.operate(operation);
  const tookMs = performance.now() - started;
  t.equal(answer.status, 504);
  t.ok(tookMs < statementMs, `it took ${tookMs.toFixed(0)} ms`);
  const unknown = await gateway.operate({ ...operation, account: 'never-heard-of' });
  t.match(unknown, { status: 504, body: { detail: /looking for the owner of account "never-heard-of"/u } });
  await proxy.heal();
  await waitFor(async () => (await gateway.request('/readyz')).status === 200);
  const next = gateway.operate({ ...operation, timeoutMs: 10_000 });
  const { id } = await agent.next('operation');
  agent.send({ case: 'result', value: { operationId: id, status: 200 } });
  t.equal((await next).status, 200);
  t.equal(agent.all('operation').length, 1, 'the first one was not sent');
});

test('a result whose outcome the database does not take', async (t) => {
  const { proxy, gateway, agent } = await setUp(t);

  const started = performance.now();
  const answered = gateway.operate({
    ...{ account: 'prod', timeoutMs: 4_000, restart: { object: { kind: 'Deployment', name: 'web' } } },
  });
  const { id } = await agent.next('operation');
  proxy.stall();
  agent.send({ case: 'result', value: { operationId: id, status: 200 } });
  const answer = await answered;
  const tookMs = performance.now() - started;
  t.match(answer, { status: 504, body: { detail: /the database does not accept its outcome/u } });
  t.ok(tookMs < statementMs, `it took ${tookMs.toFixed(0)} ms`);
  await proxy.heal();
  const record = await waitFor(
    async () => {
      const { body } = await gateway.request(`/armory/agent/operations/${id}`);
      return body['finalOutcome'] === undefined ? undefined : body;
    },
    { description: 'the outcome' },
  );
  t.match(record, { finalOutcome: 'completed' });
});
