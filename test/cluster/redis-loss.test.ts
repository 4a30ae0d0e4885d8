/** Losing Redis changes nothing but latency, and the mirror heals by itself. */

import { test } from 'tap';
import { startSimulatedAgents } from '../../src/simulate/agents.js';
import { waitFor } from '../wait.js';
import { startCluster } from './cluster.js';
import type { Replica } from './replica.js';

const scale = (account: string) => ({ account, scale: { object: { kind: 'Deployment', name: 'web' }, replicas: 2 } });

async function metric(replica: Replica, name: string): Promise<number> {
  const text = await (await fetch(`${replica.restUrl}/metrics`)).text();
  return Number(new RegExp(`^${name} (.*)$`, 'mu').exec(text)?.[1]);
}

test('Redis is killed and comes back empty', async (t) => {
  const { replicas, redis } = await startCluster(t);
  const options = { addresses: replicas.map(({ agentsAddress }) => agentsAddress), accounts: 2, latencyMs: 2 };
  const agents = await startSimulatedAgents({ ...options, agents: 6 });
  t.teardown(() => agents.stop());
  await agents.ready(AbortSignal.timeout(120_000));

  const operateEverywhere = async (accounts: readonly string[]) => {
    const answers = await Promise.all(
      replicas.flatMap((replica) => accounts.map((account) => replica.operate(scale(account)))),
    );
    const failed = answers.filter(({ status }) => status !== 200);
    t.same(
      failed.map(({ status, body }) => [status, body.detail]),
      [],
      'no operation fails',
    );
  };
  await operateEverywhere(agents.accounts);

  await redis.kill();
  await operateEverywhere(agents.accounts);
  // An agent that comes while Redis is away is found all the same.
  const late = await startSimulatedAgents({ ...options, agents: 1, accounts: 1, firstAgent: 100 });
  t.teardown(() => late.stop());
  await late.ready(AbortSignal.timeout(120_000));
  await operateEverywhere(late.accounts);
  for (const replica of replicas)
    t.ok((await fetch(`${replica.restUrl}/readyz`)).ok, 'readiness does not depend on Redis');

  await redis.restart();
  for (const replica of replicas) {
    await waitFor(async () => (await metric(replica, 'agent_gateway_mirror_live')) === 1, {
      description: `the mirror of ${replica.id} to heal`,
    });
    t.equal(await metric(replica, 'agent_gateway_mirror_accounts'), 13, 'it knows every account again');
  }
  await operateEverywhere([...agents.accounts, ...late.accounts]);
});
