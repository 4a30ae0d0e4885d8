/** Worker: the product's own agents, connected and idle, for the memory that each takes on the gateway. */

import { startSimulatedAgents, type SimulatedAgents } from '../src/simulate/agents.js';
import { answerCalls } from './child.js';

export interface IdleAgentsOptions {
  readonly address: string;
  readonly agents: number;
  /** Of each; with any, agents have a stream of cached objects, too. */
  readonly objects: number;
}

const readyTimeoutMs = 240_000;
let connected: SimulatedAgents | undefined;

answerCalls({
  /** Resolves once all are registered, each with one account. */
  connect: async ({ address, agents, objects }: IdleAgentsOptions) => {
    connected = await startSimulatedAgents({ addresses: [address], agents, accounts: 1, objects });
    await connected.ready(AbortSignal.timeout(readyTimeoutMs));
  },
  stats: () => connected?.stats(),
  disconnect: async () => {
    await connected?.stop();
  },
});

process.on('SIGINT', () => process.exit(0));
