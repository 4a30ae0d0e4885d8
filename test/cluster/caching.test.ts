/** Cached objects on three replicas: an agent and a replica are killed half-way, and the tables equal the clusters. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { test, type Test } from 'tap';
import { simulatedAccount, startSimulatedAgents } from '../../src/simulate/agents.js';
import { simulatedCluster } from '../../src/simulate/clusters.js';
import { waitFor } from '../wait.js';
import { CacheTables, differences, expectedTables } from './cached-objects.js';
import { startCluster } from './cluster.js';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const fastBackoff = { backoff: { initialMs: 100, maximumMs: 1_000, multiplier: 1.6, jitter: 0.2 } };
const content = { objects: 500, objectBytes: 1_024, seed: 7, changeRate: 40, changes: 200 };

/** Agents in a process of their own: sim-agent-0 and 1, two accounts each. */
function startAgentProcess(t: Test, addresses: readonly string[]) {
  const flags = { agents: 2, accounts: 2, objects: content.objects, 'object-bytes': content.objectBytes };
  const all = { ...flags, seed: content.seed, 'change-rate': content.changeRate, changes: content.changes };
  const child = spawn(
    process.execPath,
    [
      '--import=tsx',
      main,
      'simulate',
      ...Object.entries(all).map(([flag, value]) => `--${flag}=${value}`),
      ...addresses.map((address) => `--gateway=${address}`),
    ],
    { stdio: 'ignore' },
  );
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  t.teardown(kill);
  return { kill };
}

test('5,000 objects flow in while agents and a replica are killed', async (t) => {
  const { replicas, settings } = await startCluster(t);
  const addresses = replicas.map(({ agentsAddress }) => agentsAddress);
  const tables = new CacheTables(String(settings['sql.url']));
  t.teardown(() => tables.close());

  const doomed = startAgentProcess(t, addresses);
  const agents = await startSimulatedAgents({
    ...content,
    addresses,
    agents: 3,
    firstAgent: 10,
    accounts: 2,
    limits: fastBackoff,
  });
  t.teardown(() => agents.stop());
  await waitFor(async () => (await tables.count()) > 1_000, { description: 'the first objects' });
  await Promise.all([doomed.kill(), replicas[0]?.end('SIGKILL')]);
  startAgentProcess(t, addresses.slice(1));

  const accounts = [0, 1].flatMap((agent) => [0, 1].map((account) => simulatedAccount(agent, account)));
  const clusters = new Map([...accounts, ...agents.accounts].map((name) => [name, simulatedCluster(content, name)]));
  t.equal(clusters.size, 10);
  for (const cluster of clusters.values()) cluster.advance(content.changes);
  const wanted = expectedTables(clusters);
  t.ok(wanted.objects.size > 4_500);
  t.ok(wanted.objects.has('kubernetes.v2:infrastructure:replicaSet:sim-0-0:space-1:web-1-rs'));
  let different = Number.POSITIVE_INFINITY;
  await waitFor(
    async () => {
      different = differences(wanted, await tables.read());
      return different === 0;
    },
    { timeoutMs: 50_000, intervalMs: 300, description: 'the tables to equal the clusters' },
  ).catch(() => undefined);
  t.equal(different, 0, 'every object and relation, as the agents hold them, and no other');
});
