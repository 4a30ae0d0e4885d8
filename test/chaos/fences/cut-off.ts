/** Agents of one replica are cut off and do not notice, while others that serve the same accounts are there. */

import { waitFor } from '../../wait.js';
import type { ChaosCluster } from '../cluster.js';
import { readHistory } from '../history.js';
import type { ChaosReplica } from '../replica.js';

export interface Connected {
  readonly agentId: string;
  readonly clouddriverId: string;
  readonly caching: boolean;
}

export async function connected({ replicas: [first] }: ChaosCluster): Promise<readonly Connected[]> {
  const response = await fetch(`${first!.restUrl}/armory/agents`, { signal: AbortSignal.timeout(5_000) });
  return (await response.json()) as Connected[];
}

/** Agents are called agent-ACCOUNT-COPY. */
export const accountOf = (agentId: string): string => agentId.slice(0, agentId.lastIndexOf('-') + 1);

/** Cuts the replica's agents off, which do not notice. @returns once accounts of theirs are cached anew, by whomever */
export async function cutOff(
  cluster: ChaosCluster,
  replica: ChaosReplica,
  then = (): void => undefined,
): Promise<void> {
  const agents = await connected(cluster);
  const losing = agents.filter(({ caching, clouddriverId }) => caching && clouddriverId === replica.id);
  const accounts = new Set(losing.map(({ agentId }) => accountOf(agentId)));
  const before = readHistory(cluster.directory).length;
  replica.proxies.agents.cutUnnoticed();
  then();
  await waitFor(
    () =>
      readHistory(cluster.directory)
        .slice(before)
        .some((event) => event.type === 'caching' && event.on && accounts.has(accountOf(event.agent))),
    { timeoutMs: 10_000, description: 'an agent to cache' },
  );
  await replica.proxies.agents.heal();
}

export const cluster = { replicas: 2, groups: 2, accounts: 10, accountsPerAgent: 1, perAccount: 2 };
