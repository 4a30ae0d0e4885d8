/** The agents of the whole cluster, as `GET /armory/agents` shows them: read in pages, however many there are. */

import { selectAgentPage, type AgentAssignmentRow } from './agent-statements.js';
import { selectLiveInstances } from '../instances/instance-statements.js';
import { selectAgentsWithoutAccounts } from '../presence/presence-statements.js';
import type { Database } from '../sql/database.js';

/** An agent with its accounts at one instance. */
export interface ConnectedAgent {
  readonly agentId: string;
  readonly instanceId: string;
  readonly accounts: readonly string[];
  /** Those that it caches. */
  readonly cachedAccounts: readonly string[];
  /** When it connected, in ms UTC. */
  readonly lastConnectionTime: number;
}

const pageSize = 5_000;
/** Agents that serve no account: only those that take dynamic accounts may register without one. */
const maxWithoutAccounts = 50_000;

/**
 * Agents at live instances in the order of their ids. Holds a page of assignments and the agents without any in memory,
 * and no connection.
 */
export async function* agentConnections(
  database: Database,
  leaseMs: number,
  agentId: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<ConnectedAgent> {
  const { dialect } = database;
  const live = await database.run((db) => selectLiveInstances(db, dialect, leaseMs), signal);
  const rows = await database.run((db) => selectAgentsWithoutAccounts(db, agentId, maxWithoutAccounts), signal);
  const idle = rows.filter((row) => live.has(row.cd_id)).map(withoutAccounts);
  let next = 0;
  for await (const agent of assignedAgents(database, live, agentId, signal)) {
    for (let other = idle[next]; other !== undefined && other.agentId <= agent.agentId; other = idle[(next += 1)]) {
      // One that has just got its first account is in both lists.
      if (other.agentId !== agent.agentId) yield other;
    }
    yield agent;
  }
  yield* idle.slice(next);
}

function withoutAccounts(row: {
  readonly agent_id: string;
  readonly cd_id: string;
  readonly connected_time: number;
}): ConnectedAgent {
  return {
    agentId: row.agent_id,
    instanceId: row.cd_id,
    accounts: [],
    cachedAccounts: [],
    lastConnectionTime: row.connected_time,
  };
}

async function* assignedAgents(
  database: Database,
  live: ReadonlySet<string>,
  agentId: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<ConnectedAgent> {
  let position = { agentId: agentId ?? '', account: '' };
  let pending: AgentAssignmentRow[] = [];
  for (;;) {
    const rows = await database.run((db) => selectAgentPage(db, position, agentId, pageSize), signal);
    for (const row of rows) {
      if (pending[0] !== undefined && pending[0].agent_id !== row.agent_id) {
        yield* byInstance(pending);
        pending = [];
      }
      if (live.has(row.cd_id)) pending.push(row);
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < pageSize) break;
    position = { agentId: last.agent_id, account: last.account_name };
  }
  yield* byInstance(pending);
}

/** An agent that is changing instances is briefly at two. */
function* byInstance(rows: readonly AgentAssignmentRow[]): Generator<ConnectedAgent> {
  for (const instanceId of new Set(rows.map((row) => row.cd_id))) {
    const own = rows.filter((row) => row.cd_id === instanceId);
    // Unreleased rows of an older connection do not show when this one began.
    const newest = Math.max(...own.map((row) => row.epoch));
    const current = own.filter((row) => row.epoch === newest);
    yield {
      agentId: own[0]?.agent_id ?? '',
      instanceId,
      accounts: own.map((row) => row.account_name),
      cachedAccounts: own.filter((row) => Boolean(row.caching)).map((row) => row.account_name),
      lastConnectionTime: Math.min(...current.map((row) => row.last_updated)),
    };
  }
}
