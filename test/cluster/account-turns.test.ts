/** Replicas take turns over a dynamic account: never two at a time, and the next one goes on when one is killed. */

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

test('turns of replicas', async (t) => {
  const { replicas } = await startCluster(t, { settings: dynamicSettings });
  const [first, , third] = replicas as readonly [Replica, Replica, Replica];

  await t.test('no two replicas ask agents for the same account at the same time', async (t) => {
    const latencyMs = 60;
    const intervals: { readonly name: string; readonly agent: number; readonly at: number }[] = [];
    const onAdd = ({ name }: { readonly name: string }, agent: number): void => {
      intervals.push({ name, agent, at: performance.now() });
    };
    const held = [];
    for (const [index, { agentsAddress }] of replicas.entries()) {
      const addresses = [agentsAddress];
      held.push(await dynamicAgents(t, { addresses, firstAgent: index + 10, dynamic: { latencyMs, onAdd } }));
    }
    const names = Array.from({ length: 20 }, (_, index) => `shared-${String(index)}`);
    await Promise.all(names.map((name) => addAccount(first, name)));
    await Promise.all(names.map((name, index) => patchAccount(replicas[index % 3] as Replica, name, 'ACTIVE')));
    for (const name of names) await reaches(third, name, (account) => account.agents.length === 3);
    for (const name of names) {
      const asked = intervals.filter((each) => each.name === name).toSorted((a, b) => a.at - b.at);
      t.equal(new Set(asked.map(({ agent }) => agent)).size, 3, `${name}: every agent of the zone was asked`);
      const gaps = asked.slice(1).map(({ at }, index) => at - (asked[index]?.at ?? 0));
      // Timers may fire a millisecond early.
      t.ok(
        gaps.every((gap) => gap >= latencyMs - 2),
        `${name}: one after the other, ${gaps.join()} ms`,
      );
    }
    for (const each of held) await each.stop();
    for (const name of names) await send(first, 'DELETE', `${accountsPath}/${name}`);
  });

  await t.test('the replica whose turn it is gets killed', async (t) => {
    const asked: string[] = [];
    const held = await dynamicAgents(t, {
      addresses: replicas.map(({ agentsAddress }) => agentsAddress),
      agents: 2,
      firstAgent: 20,
      dynamic: {
        latencyMs: 2_000,
        onAdd: (_account, agent) => {
          const state = held.connections[agent - 20]?.state;
          if (state?.name === 'active') asked.push(state.clouddriverId);
        },
      },
    });
    await addAccount(first, 'survivor', 'zone');
    await patchAccount(first, 'survivor', 'ACTIVE');
    const busy = await waitFor(() => asked[0], { description: 'an agent to be asked' });
    const victim = replicas.find(({ id }) => id === busy) as Replica;
    const other = replicas.find((replica) => replica !== victim) as Replica;
    t.match(await other.get(`${accountsPath}/survivor`), { status: 'ACTIVATING' });
    await victim.end('SIGKILL');
    const active = await reaches(other, 'survivor', ({ status, agents: by }) => status === 'ACTIVE' && by.length === 2);
    t.notOk(active.agents.some(({ clouddriverId }) => clouddriverId === victim.id));
  });
});
