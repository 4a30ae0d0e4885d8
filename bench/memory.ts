/** Memory that an agent takes on the gateway: 1,000 of the product's agents against none, on a replica of their own. */

import { setTimeout as delay } from 'node:timers/promises';
import { Child } from './child.js';
import type { ServerUnderTest, StartedServer } from './servers.js';

export interface MemoryReport {
  readonly agents: number;
  /** Growth of the JavaScript heap and of what it holds outside, per agent. */
  readonly heapBytesPerAgent: number;
  /** Growth of the resident set, per agent: above, and what nghttp2 and the sockets take. */
  readonly residentBytesPerAgent: number;
}

interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
}

/** The registrations' garbage and the first pings are gone by then, in ms. */
const settleMs = 4_000;

/**
 * @param objects that each agent caches; 0: it is idle
 * @param apiAccess to the Kubernetes API of its account, for which nobody asks
 */
export async function measureMemory(
  replica: ServerUnderTest,
  agents: number,
  objects: number,
  apiAccess: 'off' | 'full' = 'full',
): Promise<MemoryReport> {
  const worker = new Child('bench/idle-agents.ts', { execArgv: ['--import=tsx'] });
  try {
    // What the first agents make it load and compile is not theirs.
    const all = { addresses: [replica.agentsAddress], objects, apiAccess };
    await worker.call('connect', { ...all, agents: 10 });
    await worker.call('disconnect');
    const before = await settled(replica);
    await worker.call('connect', { ...all, agents });
    const after = await settled(replica);
    const heap = (memory: Memory) => memory.heapUsed + memory.external;
    return {
      agents,
      heapBytesPerAgent: (heap(after) - heap(before)) / agents,
      residentBytesPerAgent: (after.rss - before.rss) / agents,
    };
  } finally {
    await worker.stop();
  }
}

/** After what was begun is over, and a collection. */
export async function settled({ child }: StartedServer): Promise<Memory> {
  await child.call('memory');
  await delay(settleMs);
  return child.call<Memory>('memory');
}
