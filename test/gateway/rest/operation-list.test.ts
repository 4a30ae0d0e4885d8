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
    ['?outcome=failed&outcome=fine', 'query.outcome'],
    ['?after=yesterday', 'query.after'],
    ['?search=', 'query.search'],
  ] as const) {
    const { status, body } = await gateway.request(`/armory/agent/operations${query}`);
    t.equal(status, 400, query);
    t.match(body, { type: 'urn:agent-gateway:problem:invalid-argument', field });
  }
});

test('who did what to which object, and what was refused', async (t) => {
  const gateway = await startGateway(t);
  const agent = await RawAgent.register(t, gateway.agentsAddress, { agentId: 'agent', accounts: [{ name: 'one' }] });
  const records = async (query: string) => {
    const { status, body, headers } = await gateway.request(`/armory/agent/operations?${query}`);
    t.equal(status, 200, query);
    return { list: body as unknown as Record<string, unknown>[], link: headers.get('link') };
  };
  const manifest = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'shop' },
    spec: { secret: 'hunter2' },
  };
  const deploy = { manifest: Buffer.from(JSON.stringify(manifest)).toString('base64'), dryRun: true };
  const { body, headers } = await gateway.operate({ account: 'one', deploy }, null);
  const { id } = body['operation'] as { id: string };
  t.equal(headers.get('location'), `/armory/agent/operations/${id}`, 'a Location without Prefer, too');
  const known = {
    operationId: id,
    object: { group: 'apps', kind: 'Deployment', resource: 'deployments', namespace: 'shop', name: 'web' },
    mode: 'server-side-apply, dry-run',
    caller: /^anonymous (127\.0\.0\.1|::1|::ffff:127\.0\.0\.1)$/u,
  };
  t.match((await records('outcome=pending&kind=Deployment&namespace=shop')).list, [known], 'while it is pending');
  agent.send({ case: 'result', value: { operationId: id, account: 'one', status: 200 } });
  await waitFor(async () => (await records('outcome=completed')).list.length === 1);
  const { list } = await records('kind=deployments&name=web&agent=agent&type=deploy&outcome=completed&outcome=failed');
  t.match(list, [known]);
  t.notMatch(JSON.stringify(list), /hunter2/u);
  t.same((await records('kind=Service')).list, []);

  for (let index = 0; index < 3; index += 1) {
    const refused = await gateway.operate(
      { account: 'nowhere', restart: { object: { kind: 'Pod', name: 'a' } } },
      null,
    );
    t.equal(refused.status, 404);
  }
  await waitFor(async () => (await records('outcome=refused&account=nowhere')).list[0]?.['count'] === 3);
  t.match((await records('outcome=refused')).list, [
    { account: 'nowhere', operationType: 'restart', reason: 'unknown-account', finalOutcome: 'refused', count: 3 },
  ]);

  const first = await records('items=1');
  t.equal(first.list.length, 1);
  const next = /^<\/armory\/agent\/operations\?(.*)>; rel="next"$/u.exec(String(first.link))?.[1] ?? '';
  const second = await records(next);
  t.equal(second.list[0]?.['operationId'], id);
});
