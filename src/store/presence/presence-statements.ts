/** The statements on kubesvc_agents: one function for each. */

import { sql, type Kysely } from 'kysely';

import { batches } from '../../core/batches.js';
import { bulkInsert, type InsertedRow } from '../sql/bulk-insert.js';
import { msAgo } from '../sql/clock.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { AgentsTable, Schema } from '../sql/schema.js';
import { storable } from '../sql/storable-text.js';
import { agentLengths } from '../sql/tables.js';
import type { AgentPresence, AgentRefusal, DepartureReason } from './presence-record.js';

type Db = Kysely<Schema>;

const agentRows = bulkInsert(
  'kubesvc_agents',
  {
    agent_id: 'text',
    zone_id: 'text',
    version: 'text',
    cd_id: 'text',
    accounts: 'text',
    account_count: 'number',
    first_seen_time: 'fromNow',
    connected_time: 'fromNow',
    gone_time: 'fromNow',
    reason: 'text',
    message: 'text',
    epoch: 'number',
  },
  'agent_id',
  { by: 'epoch', kept: ['first_seen_time'] },
);

/** @param agents each once */
export function writeAgents(db: Db, dialect: SqlDialect, agents: readonly AgentPresence[]): Promise<void> {
  return agentRows(db, dialect, agents.map(agentValues));
}

/** In the order of `agentRows`. */
function agentValues(agent: AgentPresence): InsertedRow {
  const { agentId, zoneId, version, instanceId, epoch, accounts, connectedMsAgo, gone } = agent;
  return [
    agentId,
    storable(zoneId, agentLengths.zoneId),
    storable(version, agentLengths.version),
    instanceId,
    JSON.stringify(accounts),
    accounts.length,
    -Math.round(connectedMsAgo),
    -Math.round(connectedMsAgo),
    gone === undefined ? null : -Math.round(gone.msAgo),
    gone?.reason ?? null,
    storable(gone?.message),
    epoch,
  ];
}

/** The agents of an instance that is gone. `goneTime`: its last sign of life; undefined: now. */
export async function endAgentsOf(
  db: Db,
  { nowMs }: SqlDialect,
  instanceId: string,
  reason: DepartureReason,
  goneTime: number | undefined,
): Promise<void> {
  await db
    .updateTable('kubesvc_agents')
    .set({ gone_time: goneTime ?? nowMs, reason, message: null })
    .where('cd_id', '=', instanceId)
    .where('gone_time', 'is', null)
    .execute();
}

/** Why agents that are gone cannot come back. Agents that are connected keep their rows. */
export async function noteRefusals(db: Db, refusals: readonly AgentRefusal[]): Promise<void> {
  const messages = sql<string>`case agent_id ${sql.join(
    refusals.map(({ agentId, message }) => sql`when ${agentId} then ${storable(message)}`),
    sql` `,
  )} end`;
  await db
    .updateTable('kubesvc_agents')
    .set({ reason: 'refused' satisfies DepartureReason, message: messages })
    .where(
      'agent_id',
      'in',
      refusals.map(({ agentId }) => agentId),
    )
    .where('gone_time', 'is not', null)
    .execute();
}

/** The `limit` agents after `after` whose streams have ended longer than `graceMs` ago, in the order of their ids. */
export function selectGoneAgents(
  db: Db,
  dialect: SqlDialect,
  graceMs: number,
  after: string,
  limit: number,
): Promise<AgentsTable[]> {
  return db
    .selectFrom('kubesvc_agents')
    .selectAll()
    .where('gone_time', '<=', msAgo(dialect, graceMs))
    .where('agent_id', '>', after)
    .orderBy('agent_id')
    .limit(limit)
    .execute();
}

/** Agents of instances that did not write that they have ended; `limit` at most. */
export function selectAgentsOf(db: Db, instanceIds: readonly string[], limit: number): Promise<AgentsTable[]> {
  return db
    .selectFrom('kubesvc_agents')
    .selectAll()
    .where('cd_id', 'in', instanceIds)
    .where('gone_time', 'is', null)
    .orderBy('agent_id')
    .limit(limit)
    .execute();
}

export function selectAgent(db: Db, agentId: string): Promise<AgentsTable | undefined> {
  return db.selectFrom('kubesvc_agents').selectAll().where('agent_id', '=', agentId).executeTakeFirst();
}

/** Agents that are connected and serve no account, in the order of their ids. */
export function selectAgentsWithoutAccounts(
  db: Db,
  only: string | undefined,
  limit: number,
): Promise<Pick<AgentsTable, 'agent_id' | 'cd_id' | 'connected_time'>[]> {
  let query = db
    .selectFrom('kubesvc_agents')
    .select(['agent_id', 'cd_id', 'connected_time'])
    .where('gone_time', 'is', null)
    .where('account_count', '=', 0)
    .orderBy('agent_id')
    .limit(limit);
  if (only !== undefined) query = query.where('agent_id', '=', only);
  return query.execute();
}

/** Those of the agents that have an assignment at one of the instances. */
export async function selectAssignedAgents(
  db: Db,
  agentIds: readonly string[],
  instanceIds: readonly string[],
): Promise<Set<string>> {
  const assigned = new Set<string>();
  if (instanceIds.length === 0) return assigned;
  for (const batch of batches(agentIds)) {
    const rows = await db
      .selectFrom('kubesvc_assignments')
      .select('agent_id')
      .distinct()
      .where('agent_id', 'in', batch)
      .where('cd_id', 'in', instanceIds)
      .execute();
    for (const row of rows) assigned.add(row.agent_id);
  }
  return assigned;
}

/** Those of the accounts that an agent at one of the instances serves. */
export async function selectServedAccounts(
  db: Db,
  names: readonly string[],
  instanceIds: readonly string[],
): Promise<Set<string>> {
  const served = new Set<string>();
  if (instanceIds.length === 0) return served;
  for (const batch of batches(names)) {
    const rows = await db
      .selectFrom('kubesvc_assignments')
      .select('account_name')
      .distinct()
      .where('account_name', 'in', batch)
      .where('cd_id', 'in', instanceIds)
      .execute();
    for (const row of rows) served.add(row.account_name);
  }
  return served;
}

/** Agents of these zones that are connected, in the order in which they were first seen; `limit` at most. */
export function selectZoneMembers(
  db: Db,
  zoneIds: readonly string[],
  since: number,
  limit: number,
): Promise<Pick<AgentsTable, 'agent_id' | 'zone_id' | 'first_seen_time'>[]> {
  return db
    .selectFrom('kubesvc_agents')
    .select(['agent_id', 'zone_id', 'first_seen_time'])
    .where('gone_time', 'is', null)
    .where('zone_id', 'in', zoneIds)
    .where('first_seen_time', '>', since)
    .orderBy('first_seen_time')
    .orderBy('agent_id')
    .limit(limit)
    .execute();
}

/** @returns whether there was such an agent, and it was gone */
export async function deleteGoneAgent(db: Db, agentId: string): Promise<boolean> {
  const deleted = await db
    .deleteFrom('kubesvc_agents')
    .where('agent_id', '=', agentId)
    .where('gone_time', 'is not', null)
    .executeTakeFirst();
  return deleted.numDeletedRows > 0n;
}

export async function selectLongGoneAgents(
  db: Db,
  dialect: SqlDialect,
  ageMs: number,
  limit: number,
): Promise<string[]> {
  const rows = await db
    .selectFrom('kubesvc_agents')
    .select('agent_id')
    .where('gone_time', '<', msAgo(dialect, ageMs))
    .orderBy('gone_time')
    .limit(limit)
    .execute();
  return rows.map((row) => row.agent_id);
}

/** Those of them that have not come back meanwhile. */
export async function deleteLongGoneAgents(
  db: Db,
  dialect: SqlDialect,
  ageMs: number,
  agentIds: readonly string[],
): Promise<number> {
  const deleted = await db
    .deleteFrom('kubesvc_agents')
    .where('agent_id', 'in', agentIds)
    .where('gone_time', '<', msAgo(dialect, ageMs))
    .executeTakeFirst();
  return Number(deleted.numDeletedRows);
}
