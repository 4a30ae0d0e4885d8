/** Dynamic accounts on three replicas: whichever is asked, wherever the agents are. */

import { test } from 'tap';
import { waitFor } from '../wait.js';
import { startCluster } from './cluster.js';
import {
  accountsPath,
  addAccount,
  dynamicAgents,
  dynamicSettings,
  patchAccount,
  reaches,
  send,
} from './dynamic-accounts.js';
import type { Replica } from './replica.js';

test('dynamic accounts across replicas', async (t) => {
  const { replicas } = await startCluster(t, { settings: dynamicSettings });
  const [first, second, third] = replicas as readonly [Replica, Replica, Replica];

  await t.test('from INACTIVE to deleted, asking replicas that do not hold the agent', async (t) => {
    const held = await dynamicAgents(t, { addresses: [first.agentsAddress] });
    t.equal(await addAccount(first, 'acc'), 202);
    const added = await third.get(`${accountsPath}/acc`);
    t.match(added, { status: 'INACTIVE', zoneId: '' });
    t.same((added as { agents: unknown }).agents, []);
    t.equal(await patchAccount(second, 'acc', 'ACTIVE'), 202);
    const active = await reaches(third, 'acc', ({ status }) => status === 'ACTIVE');
    t.match(active, { zoneId: 'zone', agents: [{ agentId: 'sim-agent-0', clouddriverId: first.id }] });
    const answer = await second.operate({ account: 'acc', get: { object: { kind: 'Pod', name: 'web' } } });
    t.equal(answer.status, 200, 'operations reach it from any replica');

    await held.stop();
    await reaches(third, 'acc', ({ status }) => status === 'ORPHANED');
    const back = await dynamicAgents(t, { addresses: [second.agentsAddress], firstAgent: 1 });
    t.match(await reaches(third, 'acc', ({ status }) => status === 'ACTIVE'), {
      agents: [{ agentId: 'sim-agent-1', clouddriverId: second.id }],
    });
    t.equal(await patchAccount(third, 'acc', 'INACTIVE'), 202);
    t.same((await reaches(first, 'acc', ({ status }) => status === 'INACTIVE'))['agents'], []);
    t.equal(back.stats().dynamicAccounts, 0);
    t.equal(await send(first, 'DELETE', `${accountsPath}/acc`), 202);
    for (const replica of replicas) {
      await waitFor(async () => (await send(replica, 'GET', `${accountsPath}/acc`)) === 404);
      await waitFor(async () => (await send(replica, 'GET', '/agents/kubernetes/accounts/acc')) === 404);
    }
    await back.stop();
  });

  await t.test('a failing one is retried three times and ends FAILED with its reason', async (t) => {
    let asked = 0;
    const held = await dynamicAgents(t, {
      addresses: [second.agentsAddress],
      dynamic: { failing: /^bad/u, onAdd: () => (asked += 1) },
    });
    // Until a turn has seen the agent, it is asked once more as one that came meanwhile.
    await addAccount(first, 'good', 'zone');
    await patchAccount(first, 'good', 'ACTIVE');
    await reaches(third, 'good', ({ status }) => status === 'ACTIVE');
    asked = 0;
    await addAccount(first, 'bad', 'zone');
    await addAccount(first, 'elsewhere', 'no-such-zone');
    await patchAccount(first, 'bad', 'ACTIVE');
    await patchAccount(third, 'elsewhere', 'ACTIVE');
    const failed = await reaches(third, 'bad', ({ status, failedCount }) => status === 'FAILED' && failedCount === 4);
    t.match(failed.errorMessage, /agent sim-agent-0: the simulated cluster of "bad" refuses the credentials/u);
    t.match(await reaches(first, 'elsewhere', ({ failedCount }) => failedCount === 4), {
      status: 'FAILED',
      errorMessage: /no agent of zone "no-such-zone" that takes dynamic accounts is connected/u,
    });
    t.equal(asked, 4, 'the agent was asked four times in all');
    await held.stop();
  });
});
