/** A replica is killed, frozen, restarted: what its agents and callers see. */

import { test } from 'tap';
import { startSimulatedAgents } from '../../src/simulate/agents.js';
import { waitFor } from '../wait.js';
import { startCluster } from './cluster.js';

const scale = (account: string) => ({ account, scale: { object: { kind: 'Deployment', name: 'web' }, replicas: 2 } });
const fastBackoff = { backoff: { initialMs: 100, maximumMs: 1_000, multiplier: 1.6, jitter: 0.2 } };

interface Connected {
  readonly agentId: string;
  readonly accounts: readonly string[];
  readonly clouddriverId: string;
}

test('the owner is killed while an operation is under way', async (t) => {
  const { replicas } = await startCluster(t);
  const agents = await startSimulatedAgents({
    addresses: replicas.map(({ agentsAddress }) => agentsAddress),
    agents: 3,
    accounts: 1,
    latencyMs: 1_500,
    limits: fastBackoff,
  });
  t.teardown(() => agents.stop());
  await agents.ready(AbortSignal.timeout(120_000));
  const [any] = (await replicas[0]?.get('/armory/agents')) as readonly Connected[];
  const owner = replicas.find(({ id }) => id === any?.clouddriverId);
  const asked = replicas.find((replica) => replica !== owner);
  const account = any?.accounts[0];
  if (owner === undefined || asked === undefined || account === undefined) throw new Error('no agent');

  const executedBefore = agents.stats().executed;
  const answering = asked.operate(scale(account));
  await waitFor(() => agents.connections.some((connection) => connection.operations.executing > 0), {
    description: 'the agent to begin',
  });
  await owner.end('SIGKILL');
  const answer = await answering;
  t.equal(answer.status, 200, `the operation completes: ${answer.body.detail ?? ''}`);
  t.equal(agents.stats().executed, executedBefore + 1, 'it was executed once');
  const { id } = answer.body.operation as { id: string };
  t.match(await asked.get(`/armory/agent/operations/${id}`), {
    finalOutcome: 'completed',
    opReceivedByClouddriver: { clouddriverId: asked.id },
  });

  await waitFor(
    async () =>
      ((await asked.get('/armory/agents')) as readonly Connected[]).every(
        ({ clouddriverId }) => clouddriverId !== owner.id,
      ),
    { description: 'the dead instance to own nothing' },
  );
  const again = await asked.operate(scale(account));
  t.equal(again.status, 200, 'operations find the new owner');
});

test('a replica is stopped while operations are under way', async (t) => {
  const { replicas } = await startCluster(t);
  const agents = await startSimulatedAgents({
    addresses: replicas.map(({ agentsAddress }) => agentsAddress),
    agents: 6,
    accounts: 1,
    latencyMs: 50,
    limits: fastBackoff,
  });
  t.teardown(() => agents.stop());
  await agents.ready(AbortSignal.timeout(120_000));
  const [first, second, leaving] = replicas;
  if (first === undefined || second === undefined || leaving === undefined) throw new Error('no replica');

  const statuses: string[] = [];
  const load = new AbortController();
  const callers = [first, second].map(async (asked) => {
    while (!load.signal.aborted) {
      for (const account of agents.accounts) {
        const { status, body } = await asked.operate(scale(account));
        statuses.push(`${String(status)} ${body.detail ?? ''}`.trim());
      }
    }
  });
  await waitFor(() => statuses.length > 20);
  t.equal(await leaving.end('SIGTERM'), 0, 'it stops cleanly');
  const sofar = statuses.length;
  await waitFor(() => statuses.length > sofar + 20);
  load.abort();
  await Promise.all(callers);
  t.same([...new Set(statuses)], ['200'], `no operation of ${String(statuses.length)} fails`);
  t.equal(agents.stats().executed, statuses.length, 'each was executed once');
});
