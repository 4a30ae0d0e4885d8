/** The main job: an operation posted to any replica reaches the agent that owns the account, and its result comes back. */

import { test } from 'tap';
import { startSimulatedAgents } from '../../src/simulate/agents.js';
import { waitFor } from '../wait.js';
import { startCluster } from './cluster.js';

interface History {
  readonly operationId: string;
  readonly operationType: string;
  readonly account: string;
  readonly startTime: string;
  readonly endTime: string;
  readonly finalOutcome: string;
  readonly opReceivedByClouddriver: { clouddriverId: string; time: string };
  readonly opProcessedByClouddriver: { clouddriverId: string; time: string };
  readonly opSentToAgent: { agentId: string; time: string };
  readonly resultReceivedFromAgent: {
    agentId: string;
    clouddriverId: string;
    time: string;
    result: { status: number; durationMs: number };
  };
  readonly resultReceivedByClouddriver: { clouddriverId: string; time: string };
}

test('three replicas on MariaDB and Redis', async (t) => {
  const { replicas } = await startCluster(t, { settings: { 'kubesvc.rebalance.enabled': 'false' } });
  const agents = await startSimulatedAgents({
    addresses: replicas.map(({ agentsAddress }) => agentsAddress),
    agents: 6,
    accounts: 2,
    latencyMs: 5,
  });
  t.teardown(() => agents.stop());
  await agents.ready(AbortSignal.timeout(120_000));
  const connected = (await replicas[0]?.get('/armory/agents')) as {
    agentId: string;
    accounts: string[];
    clouddriverId: string;
    caching: boolean;
  }[];
  t.equal(connected.length, 6, 'every agent is listed');
  t.ok(
    connected.every(({ caching }) => caching),
    'each caches its accounts',
  );
  const ownerOf = new Map(
    connected.flatMap(({ accounts, clouddriverId, agentId }) =>
      accounts.map((account) => [account, { clouddriverId, agentId }] as const),
    ),
  );
  t.ok(new Set(connected.map(({ clouddriverId }) => clouddriverId)).size > 1, 'they are spread over replicas');

  await t.test(
    'operations posted to every replica for every account complete, with the same record everywhere',
    async (t) => {
      for (const asked of replicas) {
        for (const account of agents.accounts) {
          const { status, body } = await asked.operate({
            account,
            scale: { object: { kind: 'Deployment', namespace: 'shop', name: 'web' }, replicas: 3 },
          });
          t.equal(status, 200, `${asked.id} ${account}: ${body.detail ?? ''}`);
          const { id } = body.operation as { id: string };
          t.match(body.result, { operationId: id, account, status: 200 });
          const records = (await Promise.all(
            replicas.map((replica) => replica.get(`/armory/agent/operations/${id}`)),
          )) as History[];
          const [record] = records;
          if (record === undefined) throw new Error('no replica');
          for (const other of records) t.same(other, record, 'the same record on every replica');
          const owner = ownerOf.get(account);
          t.match(record, {
            operationId: id,
            operationType: 'scale',
            account,
            finalOutcome: 'completed',
            opReceivedByClouddriver: { clouddriverId: asked.id },
            opProcessedByClouddriver: { clouddriverId: owner?.clouddriverId },
            opSentToAgent: { agentId: owner?.agentId },
            resultReceivedFromAgent: {
              agentId: owner?.agentId,
              clouddriverId: owner?.clouddriverId,
              result: { status: 200 },
            },
            resultReceivedByClouddriver: { clouddriverId: asked.id },
          });
          const times = [
            record.startTime,
            record.opReceivedByClouddriver.time,
            record.opProcessedByClouddriver.time,
            record.opSentToAgent.time,
            record.resultReceivedFromAgent.time,
            record.resultReceivedByClouddriver.time,
          ];
          t.same(times, times.toSorted(), 'times are in the order of the way');
          t.equal(record.endTime, record.resultReceivedByClouddriver.time);
        }
      }
    },
  );

  await t.test('text format goes the same way', async (t) => {
    for (const asked of replicas) {
      const { status, body } = await asked.operate(
        `account: "${agents.accounts[0] ?? ''}" get { object { kind: "Pod" name: "web-0" namespace: "shop" } }`,
      );
      t.equal(status, 200);
      t.match(body.operation, /^id: "[0-9A-Z]{26}"\naccount: "sim-0-0"\n/u);
      t.match(body.result, /\nstatus: 200\n/u);
    }
  });

  await t.test('without a preference the answer comes once the owner has taken it', async (t) => {
    const [asked] = replicas;
    for (const account of agents.accounts.slice(0, 6)) {
      const answer = await asked?.operate({ account, restart: { object: { kind: 'Deployment', name: 'web' } } }, null);
      t.equal(answer?.status, 200);
      t.equal(answer?.body.result, undefined);
      const { id } = answer?.body.operation as { id: string };
      const record = await waitFor(async () => {
        const found = (await replicas[2]?.get(`/armory/agent/operations/${id}`)) as History;
        return found.finalOutcome === undefined ? undefined : found;
      });
      t.equal(record.finalOutcome, 'completed');
    }
  });

  await t.test('every replica gives the same list of agents and of members', async (t) => {
    const lists = await Promise.all(replicas.map((replica) => replica.get('/armory/agents')));
    for (const list of lists) t.same(list, connected);
    for (const replica of replicas) {
      const members = (await replica.get('/armory/clouddrivers')) as { id: string; baseUrl: string; ready: boolean }[];
      t.same(
        members.map(({ id, baseUrl, ready }) => ({ id, baseUrl, ready })),
        replicas.map(({ id, restUrl }) => ({ id, baseUrl: restUrl, ready: true })),
      );
    }
  });
});
