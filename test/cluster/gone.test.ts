/** What was here and is not stays visible, with since when and why: agents, accounts and replicas that stop, are killed and come back. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { test, type Test } from 'tap';
import type { Attention } from '../../src/gateway/attention/answer.js';
import { startSimulatedAgents, type SimulatedAgents } from '../../src/simulate/agents.js';
import { waitFor } from '../wait.js';
import { startCluster, type Cluster } from './cluster.js';
import { Replica } from './replica.js';

interface ListedAgent {
  readonly agentId: string;
  readonly accounts: readonly string[];
  readonly clouddriverId: string;
  readonly offlineSince?: string;
  readonly offlineReason?: string;
}

/** An agent is offline after twice this time. */
const leaseMs = 1_500;
const settings = {
  'kubesvc.instances.leaseMs': leaseMs,
  'kubesvc.instances.heartbeatMs': 300,
  'kubesvc.cache.accountCleanupFrequencySeconds': 1,
};
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const limits = { backoff: { initialMs: 50, maximumMs: 500, multiplier: 1.6, jitter: 0.2 } };

const addressesOf = (replicas: readonly Replica[]) => replicas.map(({ agentsAddress }) => agentsAddress);

async function startAgents(
  t: Test,
  replicas: readonly Replica[],
  options: { readonly agents: number; readonly firstAgent?: number; readonly accounts?: number },
): Promise<SimulatedAgents> {
  const agents = await startSimulatedAgents({ addresses: addressesOf(replicas), accounts: 1, limits, ...options });
  t.teardown(() => agents.stop());
  await agents.ready(AbortSignal.timeout(120_000));
  return agents;
}

async function offlineAgents(replica: Replica): Promise<ReadonlyMap<string, ListedAgent>> {
  const agents = (await replica.get('/armory/agents?state=offline')) as readonly ListedAgent[];
  return new Map(agents.map((agent) => [agent.agentId, agent]));
}

function offline(replica: Replica, agentId: string): Promise<ListedAgent> {
  return waitFor(async () => (await offlineAgents(replica)).get(agentId), { description: `${agentId} to be offline` });
}

const attention = async (replica: Replica) => (await replica.get('/armory/attention')) as Attention;

async function forget(replica: Replica, path: string): Promise<number> {
  return (await fetch(`${replica.restUrl}${path}`, { method: 'DELETE' })).status;
}

function three({ replicas }: Cluster): readonly [Replica, Replica, Replica] {
  const [first, second, third] = replicas;
  if (first === undefined || second === undefined || third === undefined) throw new Error('no replicas');
  return [first, second, third];
}

test('agents that stop and are killed', async (t) => {
  const cluster = await startCluster(t, { settings });
  const [first, second, third] = three(cluster);
  await startAgents(t, cluster.replicas, { agents: 2, firstAgent: 1 });
  await startAgents(t, cluster.replicas, { agents: 1, firstAgent: 5, accounts: 0 });
  await t.test('an agent without accounts is listed by every replica', async (t) => {
    for (const replica of cluster.replicas) {
      const agent = await waitFor(
        async () =>
          ((await replica.get('/armory/agents')) as readonly ListedAgent[]).find(
            ({ agentId }) => agentId === 'sim-agent-5',
          ),
        { description: 'the agent without accounts' },
      );
      t.strictSame(agent.accounts, []);
      t.match(await replica.get('/armory/agents/sim-agent-5'), { agentId: 'sim-agent-5', caching: false });
    }
  });

  const stopped = await startAgents(t, [first], { agents: 1, firstAgent: 10 });
  const killed = spawn(
    process.execPath,
    ['--import=tsx', main, 'simulate', '--agents=1', '--accounts=1', `--gateway=${second.agentsAddress}`],
    { stdio: 'ignore' },
  );
  t.teardown(() => killed.kill('SIGKILL'));
  await waitFor(async () => third.get('/armory/agents/sim-agent-0'), { description: 'the agent to connect' });
  const before = Date.now();
  await stopped.stop();
  killed.kill('SIGKILL');
  await once(killed, 'exit');

  const goodbye = await offline(third, 'sim-agent-10');
  t.match(goodbye, { offlineReason: 'said goodbye', clouddriverId: first.id, accounts: ['sim-10-0'] });
  const lost = await offline(third, 'sim-agent-0');
  t.match(lost, { offlineReason: 'connection lost', clouddriverId: second.id, accounts: ['sim-0-0'] });
  for (const { offlineSince = '' } of [goodbye, lost]) t.ok(Math.abs(Date.parse(offlineSince) - before) < 30_000);
  t.equal((await offlineAgents(first)).size, 2, 'no other');
  t.notOk(
    ((await first.get('/armory/agents')) as readonly ListedAgent[]).some(({ agentId }) => agentId === 'sim-agent-10'),
    "the default answer stays Armory's",
  );
  t.match(await first.get('/armory/agents/sim-agent-0?state=all'), { state: 'offline' });
  await t.rejects(first.get('/armory/agents/sim-agent-0'), /404 .*offline since .*connection lost/u);

  await waitFor(async () => (await attention(third)).accounts.uncached === 0);
  const seen = await attention(third);
  t.match(seen, {
    ok: false,
    instances: { ready: 3, expected: 3 },
    accounts: { served: 2, offline: 2, uncached: 0 },
    agents: { connected: 3, offline: 2, missing: 1, items: [{ agentId: 'sim-agent-0', reason: 'connection lost' }] },
    problems: [],
  });
  t.same(seen.accounts.items.map(({ name, reason, lastAgentId }) => [name, reason, lastAgentId]).sort(), [
    ['sim-0-0', 'connection lost', 'sim-agent-0'],
    ['sim-10-0', 'said goodbye', 'sim-agent-10'],
  ]);
  // The clean-up of accounts without agents has removed its row, or is about to.
  t.match(await first.get('/armory/accounts?state=offline'), [
    { name: 'sim-0-0', state: 'offline', lastClouddriverId: second.id },
    { name: 'sim-10-0', state: 'offline', offlineReason: 'said goodbye', lastAgentId: 'sim-agent-10' },
  ]);
  t.match(await first.get('/armory/accounts?state=served'), [{ name: 'sim-1-0' }, { name: 'sim-2-0' }]);

  await t.test('an agent that comes back is offline no more', async (t) => {
    await startAgents(t, [third], { agents: 1, firstAgent: 0 });
    await waitFor(async () => !(await offlineAgents(first)).has('sim-agent-0'), { description: 'it to be back' });
    t.match(await attention(first), { agents: { missing: 0 } });
  });

  await t.test('forgotten by hand', async (t) => {
    t.equal(await forget(second, '/armory/agents/sim-agent-1'), 409, 'not while it is connected');
    t.equal(await forget(second, '/armory/agents/nobody'), 404);
    t.equal(await forget(second, '/armory/agents/sim-agent-10'), 204);
    t.notOk((await offlineAgents(second)).has('sim-agent-10'), 'at once, where it was forgotten');
    await waitFor(async () => !(await offlineAgents(first)).has('sim-agent-10'));
    t.notMatch(await second.get('/armory/accounts?state=offline'), [{ name: 'sim-10-0' }], 'with its accounts');
  });
});

test('replicas that are killed and drained', async (t) => {
  const cluster = await startCluster(t, { settings });
  const [first, second, third] = three(cluster);
  const agents = await startAgents(t, cluster.replicas, { agents: 6 });
  const here = (): Promise<unknown> => agents.ready(AbortSignal.timeout(60_000));
  /** An agent that cannot go anywhere else. Without accounts, others know it only when it has been written. */
  await startAgents(t, [third], { agents: 1, firstAgent: 30, accounts: 0 });
  await waitFor(async () => first.get('/armory/agents/sim-agent-30'), { description: 'the agent to be written' });

  const killedAt = Date.now();
  await third.end('SIGKILL');
  const seen = await waitFor(async () => {
    const now = await attention(first);
    return now.instances.items.some(({ state }) => state === 'lost') ? now : undefined;
  });
  t.match(seen, {
    ok: false,
    instances: { ready: 2, expected: 3, items: [{ clouddriverId: third.id, state: 'lost' }] },
  });
  const since = Date.parse(seen.instances.items[0]?.since ?? '');
  t.ok(Math.abs(since - killedAt) < 30_000, 'since its last sign of life');
  const alone = await offline(second, 'sim-agent-30');
  t.match(alone, { offlineReason: 'instance lost', clouddriverId: third.id });
  t.equal(Date.parse(alone.offlineSince ?? ''), since, 'since the same moment');
  await here();
  t.same([...(await offlineAgents(second)).keys()], ['sim-agent-30'], 'agents that went elsewhere are not offline');
  t.match(await second.get('/armory/clouddrivers?state=lost'), [{ id: third.id, ready: false, state: 'lost' }]);
  t.equal(await forget(first, `/armory/clouddrivers/${first.id}`), 409, 'not while it is alive');

  await t.test('a drained replica is not lost', async (t) => {
    t.equal(await second.end('SIGTERM'), 0);
    await waitFor(async () => (await attention(first)).instances.expected === 2);
    t.match(await first.get('/armory/clouddrivers?state=lost'), [{ id: third.id }], 'only the killed one is');
    await here();
    t.same([...(await offlineAgents(first)).keys()], ['sim-agent-30']);
  });

  await t.test('a replica with another name takes its place', async (t) => {
    const replica = await Replica.spawn({ id: 'gateway-new', settings: cluster.settings });
    t.teardown(() => replica.end());
    await replica.ready();
    await waitFor(async () => (await attention(first)).instances.expected === 2);
    t.match(await first.get('/armory/clouddrivers?state=lost'), [{ id: third.id, replacedBy: 'gateway-new' }]);
  });

  await t.test('forgotten by hand', async (t) => {
    await waitFor(async () => (await forget(first, `/armory/clouddrivers/${third.id}`)) === 204);
    t.same(await first.get('/armory/clouddrivers?state=lost'), []);
    t.equal(await forget(first, `/armory/clouddrivers/${third.id}`), 404);
  });
});

test('Redis is lost: what is gone is still known', async (t) => {
  const cluster = await startCluster(t, { size: 2, settings });
  const [first, second] = cluster.replicas;
  if (first === undefined || second === undefined) throw new Error('no replicas');
  const agents = await startAgents(t, [first], { agents: 1, firstAgent: 40 });
  await cluster.redis.kill();
  await agents.stop();
  t.match(await offline(second, 'sim-agent-40'), { offlineReason: 'said goodbye', clouddriverId: first.id });
  await second.end('SIGKILL');
  await waitFor(async () =>
    (await attention(first)).instances.items.some(
      ({ clouddriverId, state }) => clouddriverId === second.id && state === 'lost',
    ),
  );
  const { instances } = await attention(first);
  t.match(instances.items.find(({ clouddriverId }) => clouddriverId === first.id)?.reason, /redis/u);
});

test('what is gone is forgotten after the configured time', async (t) => {
  const { replicas } = await startCluster(t, {
    size: 2,
    settings: { ...settings, 'kubesvc.offline.forgetAfterSeconds': 8 },
  });
  const [first, second] = replicas;
  if (first === undefined || second === undefined) throw new Error('no replicas');
  const agents = await startAgents(t, [first], { agents: 1, firstAgent: 50 });
  await agents.stop();
  await second.end('SIGKILL');
  await offline(first, 'sim-agent-50');
  await waitFor(async () => ((await first.get('/armory/clouddrivers?state=lost')) as unknown[]).length === 1);
  await waitFor(async () => (await offlineAgents(first)).size === 0);
  await waitFor(async () => ((await first.get('/armory/clouddrivers?state=lost')) as unknown[]).length === 0);
});
