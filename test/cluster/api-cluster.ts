/** What the tests of failures under requests of the Kubernetes API begin and end with. */

import { t as root, type Test } from 'tap';
import { fileTimeoutMs } from '../file-timeout.js';
import { waitFor } from '../wait.js';
import { ApiAgent } from './api-agent.js';
import { callApi, metricSum } from './api-caller.js';
import { startCluster, type ClusterOptions } from './cluster.js';
import type { Replica } from './replica.js';

root.setTimeout(fileTimeoutMs);

export const account = 'prod';
/** From the loss of a peer or agent to the end of the requests that went through it, and something for the machine. */
export const noticedMs = 15_000;

/** A cluster with an agent that answers requests of the Kubernetes API of one account. */
export async function startApiCluster(
  t: Test,
  options: ClusterOptions = {},
  agentOptions: {
    readonly latencyMs?: number;
    readonly addresses?: (replicas: readonly Replica[]) => Promise<string[]>;
  } = {},
) {
  t.setTimeout(fileTimeoutMs);
  const cluster = await startCluster(t, options);
  const { replicas } = cluster;
  const agent = new ApiAgent({
    id: 'agent',
    account,
    addresses: (await agentOptions.addresses?.(replicas)) ?? replicas.map(({ agentsAddress }) => agentsAddress),
    ...(agentOptions.latencyMs === undefined ? {} : { latencyMs: agentOptions.latencyMs }),
  });
  t.teardown(() => agent.connection.stop());
  await agent.registered();
  /** The replica that holds the agent's stream, and one that does not. */
  const roles = (): { owner: Replica; entry: Replica } => {
    const owner = replicas.find(({ id }) => id === agent.replica);
    const entry = replicas.find(({ id, exitCode }) => id !== agent.replica && exitCode === null);
    if (owner === undefined || entry === undefined) throw new Error('no agent is registered');
    return { owner, entry };
  };
  const { restUrl } = roles().entry;
  await waitFor(async () => (await callApi(restUrl, account, { id: 'first' })).status === 200);
  return { ...cluster, agent, roles };
}

/** Nothing is left open. */
export async function atRest(t: Test, replicas: readonly Replica[], agent: ApiAgent): Promise<void> {
  for (const { id, restUrl } of replicas) {
    await waitFor(async () => (await metricSum(restUrl, 'agent_gateway_kubernetes_requests_open')) === 0, {
      description: `${id} to have no open requests`,
    });
  }
  await waitFor(() => agent.openCount === 0, { description: 'the agent to have no open requests' });
  t.pass('nothing is left open');
}
