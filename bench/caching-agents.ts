/** Worker: simulated agents that stream the objects of their clusters. */

import { startSimulatedAgents, type SimulatedAgents } from '../src/simulate/agents.js';
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

answerCalls({
  /** Resolves at once: the objects flow in while it runs. */
  stream: async (options: CachingAgentsOptions) => {
    connected = await startSimulatedAgents({ ...options, accounts: 1, limits });
  },
  disconnect: async () => {
    await connected?.stop();
  },
});
