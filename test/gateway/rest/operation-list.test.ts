/** `GET /armory/agent/operations`: pages, filters, bounds. The same over three replicas: test/cluster/rest.test.ts. */

import { test } from 'tap';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway } from '../running-gateway.js';

interface Listed {
  readonly operationId: string;
  readonly startTime: string;
  readonly account: string;
  readonly finalOutcome?: string;
}

test('the list of operations', async (t) => {
  const gateway = await startGateway(t);
  const agent = await RawAgent.register(t, gateway.agentsAddress, {
    agentId: 'agent',
    accounts: [{ name: 'one' }, { name: 'two' }],
  });
  const list = async (query = ''): Promise<readonly Listed[]> => {
    const { status, body } = await gateway.request(`/armory/agent/operations${query}`);
    t.equal(status, 200, query);
    return body as unknown as Listed[];
  };
  const submit = async (account: string): Promise<string> => {
    const { body } = await gateway.operate({ account, scale: { object: { kind: 'Deployment', name: 'web' } } }, null);
    return (body['operation'] as { id: string }).id;
  };
  const ids: string[] = [];
  for (const account of ['one', 'two', 'one', 'two']) ids.push(await submit(account));
  const [first = '', second = '', third = '', fourth = ''] = ids;
  agent.send({ case: 'result', value: { operationId: first, account: 'one', status: 200 } });
  agent.send({ case: 'result', value: { operationId: second, account: 'two', status: 500, message: 'no' } });
  await waitFor(
    async () => (await list('?outcome=failed')).length === 1 && (await list('?outcome=completed')).length === 1,
  );

  const idsOf = async (query: string) => (await list(query)).map(({ operationId }) => operationId);
  const all = await list();
  t.same(
    all.map(({ operationId }) => operationId),
    [fourth, third, second, first],
    'pending and ended ones, newest first',
  );
  t.match(all[3], { account: 'one', operationType: 'scale', finalOutcome: 'completed' });
  t.notOk(all[0] !== undefined && 'finalOutcome' in all[0], 'a pending one has no outcome');
  t.same(await idsOf('?items=3'), [fourth, third, second]);
  t.same(await idsOf('?items=3&page=1'), [first]);
  t.same(await idsOf('?account=two'), [fourth, second]);
  t.same(await idsOf('?outcome=pending'), [fourth, third]);
  t.same(await idsOf('?outcome=failed'), [second]);
  t.same(await idsOf('?outcome=agent%20lost'), []);
  const [since = '', until = ''] = [all[2]?.startTime, all[0]?.startTime];
  const between = all.filter(({ startTime }) => startTime >= since && startTime < until);
  t.same(
    await idsOf(`?since=${since}&until=${until}`),
    between.map(({ operationId }) => operationId),
  );

  for (const [query, field] of [
    ['?items=0', 'query.items'],
    ['?items=501', 'query.items'],
    ['?items=many', 'query.items'],
    ['?page=-1', 'query.page'],
    ['?items=500&page=20', 'query.page'],
    ['?outcome=fine', 'query.outcome'],
    ['?since=yesterday', 'query.since'],
    ['?until=2026-12-31T23:59:60Z', 'query.until'],
    ['?acount=one', 'query.acount'],
  ] as const) {
    const { status, body } = await gateway.request(`/armory/agent/operations${query}`);
    t.equal(status, 400, query);
    t.match(body, { type: 'urn:agent-gateway:problem:invalid-argument', field });
  }
});
