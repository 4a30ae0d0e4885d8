/** Worker: simulated agents that stream the objects of their clusters. */

import { simulatedAccount, startSimulatedAgents, type SimulatedAgents } from '../src/simulate/agents.js';
import type { SimulatedCluster } from '../src/simulate/cluster.js';
import { simulatedCluster } from '../src/simulate/clusters.js';
import { answerCalls } from './child.js';

export interface CachingAgentsOptions {
  readonly addresses: readonly string[];
  readonly agents: number;
  readonly firstAgent?: number;
  /** Of each agent's one account. */
  readonly objects: number;
  readonly objectBytes: number;
}

const limits = { backoff: { initialMs: 200, maximumMs: 1_000, multiplier: 1.6, jitter: 0.2 } };
let connected: SimulatedAgents | undefined;
const clusters = new Map<string, SimulatedCluster>();

answerCalls({
  /** Makes the objects, so that it is not counted. */
  prepare: (options: CachingAgentsOptions) => {
    for (let agent = 0; agent < options.agents; agent += 1) {
      const account = simulatedAccount(agent, 0);
      const cluster = simulatedCluster(options, account);
      cluster.prepare();
      clusters.set(account, cluster);
    }
    return Promise.resolve();
  },
  /** Resolves at once: the objects flow in while it runs. */
  stream: async (options: CachingAgentsOptions) => {
    connected = await startSimulatedAgents({ ...options, clusters, accounts: 1, limits });
  },
  disconnect: async () => {
    await connected?.stop();
  },
});
