/** Worker: the product's own agents, connected and idle: for what each costs the gateway. */

import { startSimulatedAgents, type SimulatedAgents } from '../src/simulate/agents.js';
import { answerCalls } from './child.js';

export interface IdleAgentsOptions {
  /** `host:port` of gateways; agents dial one of them at random. */
  readonly addresses: readonly string[];
  readonly agents: number;
  /** Of each; default 1. */
  readonly accounts?: number;
  /** Of each; with any, agents have a stream of cached objects, too. */
  readonly objects: number;
  /** Default: full. */
  readonly apiAccess?: 'off' | 'full';
}

const readyTimeoutMs = 240_000;
let connected: SimulatedAgents | undefined;

answerCalls({
  /** Resolves once all are registered. */
  connect: async ({ addresses, agents, accounts = 1, objects, apiAccess = 'full' }: IdleAgentsOptions) => {
    connected = await startSimulatedAgents({ addresses, agents, accounts, objects, apiAccess });
    await connected.ready(AbortSignal.timeout(readyTimeoutMs));
  },
  stats: () => connected?.stats(),
  disconnect: async () => {
    await connected?.stop();
  },
});
