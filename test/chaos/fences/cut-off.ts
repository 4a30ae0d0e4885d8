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

/**
 * Cuts the replica's agents off, which do not notice at once.
 * @returns once they have, and an account of theirs is cached anew, by whomever
 */
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
    () => {
      const events = readHistory(cluster.directory)
        .slice(before)
        .flatMap((event) => (event.type === 'caching' && accounts.has(accountOf(event.agent)) ? [event] : []));
      const noticed = losing.every(({ agentId }) => events.some(({ agent, on }) => agent === agentId && !on));
      return noticed && events.some(({ on }) => on);
    },
    { description: 'the agents that are cut off to notice, and one to cache' },
  );
  await replica.proxies.agents.heal();
}

export const cluster = { replicas: 2, groups: 2, accounts: 10, accountsPerAgent: 1, perAccount: 2 };
