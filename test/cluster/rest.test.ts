/**
 * Every route of the contract on three replicas, asked of replicas that do not own what is asked for. Dynamic accounts
 * have a test of their own.
 */

import { test } from 'tap';
import { startSimulatedAgents } from '../../src/simulate/agents.js';
import { waitFor } from '../wait.js';
import { startCluster } from './cluster.js';
import type { Replica } from './replica.js';

interface Connected {
  readonly agentId: string;
  readonly accounts: readonly string[];
  readonly clouddriverId: string;
  readonly caching: boolean;
}

interface Report {
  readonly clouddriverId: string;
  readonly operations?: number;
  readonly sent?: number;
  readonly waiting?: number;
  readonly error?: string;
}

const operations = '/armory/agent/operations';

async function post(replica: Replica, path: string, body: unknown): Promise<{ status: number; body: unknown }> {
  const response = await fetch(replica.restUrl + path, {
    method: 'POST',
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(120_000),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
}

test('every route, asked of any replica', async (t) => {
  const { replicas } = await startCluster(t, { settings: { 'kubesvc.rebalance.enabled': 'false' } });
  const [first, second, third] = replicas;
  if (first === undefined || second === undefined || third === undefined) throw new Error('no replica');
  // Each replica has two agents; each account has one.
  const groups = await Promise.all(
    replicas.map(({ agentsAddress }, index) =>
      startSimulatedAgents({
        ...{ addresses: [agentsAddress], agents: 2, accounts: 2, firstAgent: index * 2, latencyMs: 20 },
        limits: { backoff: { initialMs: 100, maximumMs: 500, multiplier: 1.6, jitter: 0.2 } },
      }),
    ),
  );
  t.teardown(() => Promise.all(groups.map((group) => group.stop())));
  await Promise.all(groups.map((group) => group.ready(AbortSignal.timeout(120_000))));
  const accounts = groups.flatMap((group) => group.accounts);
  const agents = (await first.get('/armory/agents')) as readonly Connected[];
  const othersThan = (id: string) => replicas.filter((replica) => replica.id !== id);
  const onEvery = async (path: string): Promise<unknown> => {
    const [one, ...rest] = await Promise.all(replicas.map((replica) => replica.get(path)));
    for (const other of rest) t.same(other, one, `${path} is the same everywhere`);
    return one;
  };

  await t.test('instances', async (t) => {
    for (const { id, restUrl } of replicas) {
      for (const asked of othersThan(id))
        t.match(await asked.get(`/armory/clouddrivers/${id}`), { id, baseUrl: restUrl, ready: true });
    }
    const settings = (await onEvery('/armory/clouddrivers/sql/pool/settings')) as readonly object[];
    t.match(
      settings,
      replicas.map(({ id }) => ({ clouddriverId: id, engine: 'mysql', maxPoolSize: Number, tls: false })),
    );
    t.notMatch(JSON.stringify(settings), /password|user|@/u);
  });

  await t.test('agents', async (t) => {
    t.equal(agents.length, 6);
    for (const agent of agents) t.same(await onEvery(`/armory/agents/${agent.agentId}`), agent);
  });

  await t.test('operations, their results and their list', async (t) => {
    for (const account of accounts) {
      const owner = agents.find((agent) => agent.accounts.includes(account))?.clouddriverId ?? '';
      for (const asked of othersThan(owner)) {
        const answer = await asked.operate({ account, scale: { object: { kind: 'Deployment', name: 'web' } } });
        t.equal(answer.status, 200);
        const { id } = answer.body.operation as { id: string };
        t.match(await onEvery(`${operations}/${id}`), { operationId: id, finalOutcome: 'completed' });
      }
    }
    const all = (await onEvery(`${operations}?items=500`)) as readonly { startTime: string; account: string }[];
    t.equal(all.length, accounts.length * 2);
    const times = all.map(({ startTime }) => startTime);
    t.same(times, times.toSorted().reverse(), 'newest first');
    const [account = ''] = accounts;
    t.equal(((await onEvery(`${operations}?account=${account}`)) as unknown[]).length, 2);
    const pages = [0, 1, 2, 3].map((page) => onEvery(`${operations}?items=10&page=${String(page)}`));
    t.same((await Promise.all(pages)).flat(), all, 'pages make the whole');
  });

  await t.test('a result that a script brings', async (t) => {
    // Its agent is too slow; whoever is asked brings the result to the instance that waits.
    const slow = await startSimulatedAgents({
      ...{ addresses: [first.agentsAddress], agents: 1, accounts: 1, firstAgent: 50, latencyMs: 60_000 },
    });
    t.teardown(() => slow.stop({ drainMs: 0 }));
    await slow.ready(AbortSignal.timeout(120_000));
    const account = slow.accounts[0] ?? '';
    const scale = { account, scale: { object: { kind: 'Deployment', name: 'web' } } };
    const submitted = await second.operate(scale, null);
    const { id } = submitted.body.operation as { id: string };
    t.match(
      await onEvery(`${operations}?outcome=pending`),
      [{ operationId: id, account, opReceivedByClouddriver: { clouddriverId: second.id } }],
      'it is pending everywhere',
    );
    const result = { result: { operationId: id, account, status: 200, message: 'done by hand' } };
    t.match(await post(third, '/armory/agent/operationresults', result), { status: 200, body: result });
    t.match(await onEvery(`${operations}/${id}`), { finalOutcome: 'completed', message: 'done by hand' });
    t.equal((await post(third, '/armory/agent/operationresults', result)).status, 409);

    await t.test('stored operations are sent again', async (t) => {
      const again = await second.operate(scale, null);
      const { id } = again.body.operation as { id: string };
      for (const asked of replicas) {
        const { status, body } = await post(asked, `${operations}/database`, undefined);
        t.equal(status, 200);
        t.match(
          body,
          replicas.map((replica) => ({ clouddriverId: replica.id, waiting: 0, sent: replica === second ? 1 : 0 })),
        );
      }
      const bring = { result: { operationId: id, account, status: 200, message: 'done' } };
      t.match(await post(first, '/armory/agent/operationresults', bring), { status: 200, body: bring });
    });
  });

  await t.test('caching is assigned', async (t) => {
    for (const asked of replicas) {
      const { status, body } = await post(asked, '/armory/agent/assignments', accounts);
      t.equal(status, 200);
      t.same(
        (body as { account: string; agentId: string; clouddriverId: string }[]).map(
          ({ account, agentId, clouddriverId }) => [account, agentId, clouddriverId],
        ),
        accounts.toSorted().map((account) => {
          const agent = agents.find((each) => each.accounts.includes(account));
          return [account, agent?.agentId, agent?.clouddriverId];
        }),
      );
      const unknown = await post(asked, '/armory/agent/assignments', [...accounts, 'nobody', 'none']);
      t.equal(unknown.status, 404);
      t.match(unknown.body, { type: 'urn:agent-gateway:problem:unknown-account', accounts: ['nobody', 'none'] });
    }
  });

  await t.test('an agent is disconnected wherever it is, and dials again', async (t) => {
    for (const asked of replicas) {
      const before = (await asked.get('/armory/agents')) as readonly Connected[];
      const victim = before.find(({ clouddriverId }) => clouddriverId !== asked.id);
      if (victim === undefined) throw new Error('no agent elsewhere');
      const seen = (await asked.get(`/armory/agents/${victim.agentId}`)) as { lastConnection: string };
      const path = `/armory/agent/${victim.agentId}/disconnect`;
      const kept = await post(asked, path, { clusterDriven: false, origin: 'test', timestamp: 1_000 });
      t.equal(kept.status, 404, 'a stream that is newer than the request stays');
      const body = { clusterDriven: false, origin: 'test', timestamp: Date.now() };
      t.same(await post(asked, path, body), {
        status: 200,
        body: { agentId: victim.agentId, clouddriverIds: [victim.clouddriverId] },
      });
      await waitFor(
        async () => {
          const now = await asked.get(`/armory/agents/${victim.agentId}`).catch(() => undefined);
          return now !== undefined && (now as { lastConnection: string }).lastConnection > seen.lastConnection;
        },
        { description: 'the agent to be back' },
      );
      const notHere = await post(asked, path, { clusterDriven: true, origin: 'test', timestamp: Date.now() });
      t.equal(notHere.status, 404, 'what comes from another instance is not asked of others');
      t.equal((await post(asked, '/armory/agent/nobody/disconnect', {})).status, 404);
    }
  });

  await t.test('an instance that does not answer is named', async (t) => {
    third.signal('SIGSTOP');
    t.teardown(() => {
      third.signal('SIGCONT');
    });
    const settings = (await first.get('/armory/clouddrivers/sql/pool/settings')) as readonly Report[];
    t.match(settings, [
      { clouddriverId: first.id },
      { clouddriverId: second.id },
      { clouddriverId: third.id, error: /does not answer/u },
    ]);
    const lost = await post(first, '/armory/agent/nobody/disconnect', {});
    t.equal(lost.status, 503);
    t.match(lost.body, { type: 'urn:agent-gateway:problem:owner-unreachable', detail: new RegExp(third.id, 'u') });
  });
});
