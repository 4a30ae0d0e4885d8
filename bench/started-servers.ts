/** Everything that operations are measured with. */

import type { ReleaseStack } from '../src/core/release-stack.js';
import { createConnection } from 'mysql2/promise';
import type { Service } from '../test/services/service.js';
import { Child } from './child.js';
import { databaseUse } from './server-counters.js';
import { createDatabase, startReplicas, type ReplicasOptions, type ServerUnderTest } from './servers.js';
import { startWorkers, type Servers } from './throughput.js';

export interface StartedServers {
  readonly servers: Servers;
  /** load.ts: many operations in flight. */
  readonly load: Child;
  /** latency-load.ts: one operation in flight. */
  readonly caller: Child;
  /** echo-agents.ts */
  readonly agents: Child;
  /** All of it but the bare stack. */
  readonly processes: readonly Child[];
}

export interface Stores {
  readonly mariaDb: Service;
  readonly redis: Service;
}

/**
 * Two replicas, agents at both stacks, and the load generators.
 * @param name of a new database
 */
export async function startServers(
  bare: ServerUnderTest,
  { mariaDb, redis }: Stores,
  name: string,
  scope: ReleaseStack,
  options: ReplicasOptions = {},
): Promise<StartedServers> {
  const [owner, entry] = await startReplicas(2, await createDatabase(mariaDb.url, name), redis.url, options);
  if (owner === undefined || entry === undefined) throw new Error('a replica was not started');
  const database = await createConnection({ uri: mariaDb.url });
  scope.push('connection', () => database.end());
  const servers: Servers = { owner, entry, bare, databaseUse: () => databaseUse(database, mariaDb.pid ?? 0) };
  const { load, agents } = await startWorkers(servers);
  const caller = new Child('bench/latency-load.ts', { execArgv: ['--import=tsx'] });
  const processes = [load, caller, agents, owner.child, entry.child];
  for (const child of processes) scope.push('process', () => child.stop());
  return { servers, load, caller, agents, processes };
}
