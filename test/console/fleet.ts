/** Assignments of agents that nobody has to run: rows as a replica writes them for connected agents. */

import { AssignmentStore } from '../../src/store/assignments/assignments.js';
import { openDatabase, type Database } from '../../src/store/sql/database.js';
import { limits } from '../store/engines.js';

const batch = 1_000;

export interface FleetAgent {
  readonly agentId: string;
  readonly accounts: readonly string[];
}

export function openTestDatabase(t: { teardown(release: () => Promise<void>): unknown }, url: string): Database {
  const database = openDatabase({ url, ...limits });
  t.teardown(() => database.close());
  return database;
}

/** Writes agents at a replica; each caches its first account. */
export async function writeFleet(database: Database, instanceId: string, agents: readonly FleetAgent[]): Promise<void> {
  const epoch = await new AssignmentStore(database, { leaseMs: 10_000 }).nextEpoch();
  const rows = agents.flatMap(({ agentId, accounts }) =>
    accounts.map((name, index) => ({
      ...{ account_name: name, cd_id: instanceId, agent_id: agentId, epoch },
      ...{ connections: 1, caching: index === 0, reachable: true, last_updated: Date.now() },
    })),
  );
  for (let start = 0; start < rows.length; start += batch) {
    const values = rows.slice(start, start + batch);
    await database.run((db) => db.insertInto('kubesvc_assignments').values(values).execute());
  }
}
