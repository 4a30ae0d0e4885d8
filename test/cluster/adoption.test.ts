/** Operations of an instance that was asked and then killed: a survivor, or its successor, ends them. */

import { test } from 'tap';
import { startSimulatedAgents } from '../../src/simulate/agents.js';
import { waitFor } from '../wait.js';
import { startCluster } from './cluster.js';
import { Replica } from './replica.js';

const scale = (account: string) => ({ account, scale: { object: { kind: 'Deployment', name: 'web' }, replicas: 2 } });
const fastBackoff = { backoff: { initialMs: 100, maximumMs: 1_000, multiplier: 1.6, jitter: 0.2 } };

interface Connected {
  readonly agentId: string;
  readonly accounts: readonly string[];
  readonly clouddriverId: string;
}

test('the instance that was asked is killed together with the stream', async (t) => {
  const { replicas, settings } = await startCluster(t);
  const agents = await startSimulatedAgents({
    addresses: replicas.map(({ agentsAddress }) => agentsAddress),
    agents: 3,
    accounts: 1,
    latencyMs: 1_500,
    limits: fastBackoff,
  });
  t.teardown(() => agents.stop());
  await agents.ready(AbortSignal.timeout(120_000));
  const connected = (await replicas[0]?.get('/armory/agents')) as readonly Connected[];
  const victim = connected[0];
  const asked = replicas.find(({ id }) => id === victim?.clouddriverId);
  const survivors = replicas.filter((replica) => replica !== asked);
  const account = victim?.accounts[0];
  if (asked === undefined || account === undefined) throw new Error('no agent');

  const answer = await asked.operate(scale(account), null);
  const { id } = answer.body.operation as { id: string };
  t.equal(answer.status, 200, 'it was accepted');
  await asked.end('SIGKILL');
  const records = await Promise.all(
    survivors.map((replica) =>
      waitFor(
        async () => {
          const record = (await replica.get(`/armory/agent/operations/${id}`)) as { finalOutcome?: string };
          return record.finalOutcome === undefined ? undefined : record;
        },
        { description: `${replica.id} to know the outcome` },
      ),
    ),
  );
  for (const record of records)
    t.match(record, { finalOutcome: 'completed', opReceivedByClouddriver: { clouddriverId: asked.id } });
  t.equal(agents.stats().executed, 1, 'it was executed once');

  await t.test('a replica of the same id comes back and ends what its predecessor left', async (t) => {
    const [first] = survivors;
    const slow = await startSimulatedAgents({
      addresses: [first?.agentsAddress ?? ''],
      agents: 1,
      firstAgent: 50,
      accounts: 1,
      latencyMs: 60_000,
    });
    await slow.ready(AbortSignal.timeout(120_000));
    const account = slow.accounts[0] ?? '';
    const submitted = await first?.operate({ ...scale(account), timeoutMs: 6_000 }, null);
    const left = submitted?.body.operation as { id: string };
    await first?.end('SIGKILL');
    await slow.stop({ drainMs: 0 });
    const again = await Replica.spawn({ id: first?.id ?? '', settings });
    t.teardown(() => again.end());
    await again.ready();
    const record = await waitFor(async () => {
      const found = (await again.get(`/armory/agent/operations/${left.id}`)) as { finalOutcome?: string };
      return found.finalOutcome === undefined ? undefined : found;
    });
    // Timed out, when the replica took longer to come back than the operation had left.
    const ended = /^(agent lost|timed out)$/u;
    t.match(record, { finalOutcome: ended, opReceivedByClouddriver: { clouddriverId: first?.id } });
  });
});
