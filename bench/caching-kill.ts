/**
 * Cached objects of many agents while half of the agents and a replica are killed half-way: afterwards the tables must
 * equal what the agents hold, object by object.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { simulatedAccount } from '../src/simulate/agents.js';
import { simulatedCluster } from '../src/simulate/clusters.js';
import { CacheTables, differences, expectedTables } from '../test/cluster/cached-objects.js';
import type { CachingAgentsOptions } from './caching-agents.js';
import type { CachingAmounts } from './caching.js';
import { Child } from './child.js';
import { mariaDbEngine } from './engines.js';
import { createDatabase, startReplicas } from './servers.js';

export interface KillReport {
  readonly objects: number;
  /** Cached when the processes were killed. */
  readonly killedAt: number;
  /** Objects and relations that differ in the end; 0 is right. */
  readonly different: number;
  readonly seconds: number;
}

const limitMs = 300_000;

export async function killHalfWay(
  redisUrl: string,
  { agents, objects, objectBytes }: CachingAmounts,
): Promise<KillReport> {
  const server = await mariaDbEngine.start();
  const children: Child[] = [];
  const url = await createDatabase(server.url, 'killed');
  const tables = new CacheTables(url);
  try {
    const replicas = await startReplicas(3, url, redisUrl);
    children.push(...replicas.map(({ child }) => child));
    const half = agents / 2;
    const stream = async (firstAgent: number, addresses: readonly string[]): Promise<Child> => {
      const worker = new Child('bench/caching-agents.ts', { execArgv: ['--import=tsx'] });
      children.push(worker);
      const options: CachingAgentsOptions = { addresses, agents: half, firstAgent, objects, objectBytes };
      await worker.call('stream', options);
      return worker;
    };
    const addresses = replicas.map(({ agentsAddress }) => agentsAddress);
    const startedAt = performance.now();
    const doomed = await stream(0, addresses);
    await stream(half, addresses);
    let killedAt = 0;
    while (killedAt < (agents * objects) / 2) {
      await delay(100);
      killedAt = await tables.count();
    }
    await Promise.all([doomed.kill(), replicas[0]?.child.kill()]);
    await stream(0, addresses.slice(1));

    const accounts = Array.from({ length: agents }, (_, agent) => simulatedAccount(agent, 0));
    const clusters = new Map(accounts.map((name) => [name, simulatedCluster({ objects, objectBytes }, name)]));
    const wanted = expectedTables(clusters);
    for (;;) {
      const different = differences(wanted, await tables.read());
      const seconds = (performance.now() - startedAt) / 1_000;
      if (different === 0 || seconds * 1_000 > limitMs)
        return { objects: wanted.objects.size, killedAt, different, seconds };
      await delay(2_000);
    }
  } finally {
    await tables.close();
    for (const child of children) await child.stop();
    await server.stop();
  }
}
