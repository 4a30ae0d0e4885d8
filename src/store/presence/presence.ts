/** kubesvc_agents: the agents of the cluster, connected and gone. Written in bulk, beside the way of registrations. */

import { batches } from '../../core/batches.js';
import { selectInstances, selectLastHeartbeat } from '../instances/instance-statements.js';
import type { Database } from '../sql/database.js';
import type { AgentsTable } from '../sql/schema.js';
import { departureReasons, type AgentPresence, type AgentRefusal, type OfflineAgent } from './presence-record.js';
import {
  deleteGoneAgent,
  deleteLongGoneAgents,
  endAgentsOf,
  noteRefusals,
  selectAgent,
  selectAgentsOf,
  selectAssignedAgents,
  selectGoneAgents,
  selectLongGoneAgents,
  selectServedAccounts,
  selectZoneMembers,
  writeAgents,
} from './presence-statements.js';

export interface PresenceStoreOptions {
  /** An instance is alive while its last heartbeat is younger, in ms. */
  readonly leaseMs: number;
  /** An agent counts as offline after this time without a stream, in ms: until then it may come back elsewhere. */
  readonly graceMs: number;
}

export interface Offline {
  /** In the order of their ids. */
  readonly agents: readonly OfflineAgent[];
  /** Their accounts that no agent serves, in the order of their names, each with the agent that served it last. */
  readonly accounts: readonly AccountLeft[];
  /** There are more. */
  readonly truncated: boolean;
}

export interface AccountLeft {
  readonly name: string;
  readonly lastAgent: OfflineAgent;
}

const pageSize = 5_000;
/** Limits the memory to a few tens of MB. */
const maxOffline = 50_000;
/** Rows of a statement whose text grows with them. */
const refusalsAtATime = 200;

export class PresenceStore {
  readonly #database: Database;
  readonly #options: PresenceStoreOptions;

  constructor(database: Database, options: PresenceStoreOptions) {
    this.#database = database;
    this.#options = options;
  }

  /** One statement, whatever their number. @param agents each once; a write of an older connection changes nothing */
  write(agents: readonly AgentPresence[], signal: AbortSignal): Promise<void> {
    return this.#database.run((db) => writeAgents(db, this.#database.dialect, agents), signal);
  }

  /** Notes why agents that are offline cannot come back; of an agent that is connected, or unknown, nothing. */
  async refused(refusals: readonly AgentRefusal[], signal: AbortSignal): Promise<void> {
    for (const batch of batches(refusals, refusalsAtATime))
      await this.#database.run((db) => noteRefusals(db, batch), signal);
  }

  /**
   * The agents of an instance that was lost, or of a predecessor of the same id, have been offline since its last sign of
   * life. Two statements, whatever their number.
   */
  instanceGone(instanceId: string, signal: AbortSignal): Promise<void> {
    const { dialect } = this.#database;
    return this.#database.run(async (db) => {
      const heartbeat = (await selectLastHeartbeat(db, instanceId)) ?? 0;
      const reason = heartbeat === 0 ? 'instance stopped' : 'instance lost';
      await endAgentsOf(db, dialect, instanceId, reason, heartbeat === 0 ? undefined : heartbeat);
    }, signal);
  }

  /** All agents and accounts that are offline. */
  async offline(signal: AbortSignal): Promise<Offline> {
    const { dialect } = this.#database;
    const { graceMs } = this.#options;
    const found = await this.#ofLostInstances(signal);
    for (let after = ''; found.length < maxOffline;) {
      const rows = await this.#database.run((db) => selectGoneAgents(db, dialect, graceMs, after, pageSize), signal);
      found.push(...rows.map((row) => toOffline(row)));
      const last = rows.at(-1);
      if (last === undefined || rows.length < pageSize) break;
      after = last.agent_id;
    }
    if (found.length === 0) return { agents: [], accounts: [], truncated: false };
    const live = (
      await this.#database.run((db) => selectInstances(db, dialect, 'live', this.#options.leaseMs), signal)
    ).map(({ id }) => id);
    const gone = await this.#withoutConnected(found, live, signal);
    const agents = await this.#withReplacements(gone, signal);
    agents.sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
    const accounts = await this.#accountsOf(agents, live, signal);
    return { agents, accounts, truncated: found.length >= maxOffline };
  }

  /** @returns false: it is not known, or not gone */
  async forget(agentId: string, signal: AbortSignal): Promise<boolean> {
    return this.#database.run((db) => deleteGoneAgent(db, agentId), signal);
  }

  /** Whether the agent has a row, connected or not. */
  async knows(agentId: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#database.run((db) => selectAgent(db, agentId), signal)) !== undefined;
  }

  /** Forgets agents that have been gone for longer, `limit` at most. @returns how many */
  forgetOld(ageMs: number, limit: number, signal: AbortSignal): Promise<number> {
    const { dialect } = this.#database;
    return this.#database.run(async (db) => {
      const ids = await selectLongGoneAgents(db, dialect, ageMs, limit);
      return ids.length === 0 ? 0 : deleteLongGoneAgents(db, dialect, ageMs, ids);
    }, signal);
  }

  /** Agents of instances that have not written their end, and that nobody has taken over from yet. */
  async #ofLostInstances(signal: AbortSignal): Promise<OfflineAgent[]> {
    const { dialect } = this.#database;
    const { graceMs } = this.#options;
    const expired = await this.#database.run((db) => selectInstances(db, dialect, 'expired', graceMs), signal);
    const lost = new Map(
      expired.filter(({ lastHeartbeatTime: time }) => time > 0).map((one) => [one.id, one.lastHeartbeatTime]),
    );
    if (lost.size === 0) return [];
    const rows = await this.#database.run((db) => selectAgentsOf(db, [...lost.keys()], maxOffline), signal);
    return rows.map((row) =>
      toOffline({ ...row, gone_time: lost.get(row.cd_id) ?? row.gone_time, reason: 'instance lost' }),
    );
  }

  /** The assignments are the truth: an agent that has one is connected, whatever its row says. */
  async #withoutConnected(
    found: readonly OfflineAgent[],
    live: readonly string[],
    signal: AbortSignal,
  ): Promise<OfflineAgent[]> {
    const ids = found.map(({ agentId }) => agentId);
    const assigned = await this.#database.run((db) => selectAssignedAgents(db, ids, live), signal);
    return found.filter(({ agentId }) => !assigned.has(agentId));
  }

  /** The accounts that these agents served and no agent serves now. */
  async #accountsOf(
    agents: readonly OfflineAgent[],
    live: readonly string[],
    signal: AbortSignal,
  ): Promise<AccountLeft[]> {
    const lastAgents = new Map<string, OfflineAgent>();
    for (const agent of agents) {
      for (const name of agent.accounts)
        if ((lastAgents.get(name)?.goneTime ?? 0) < agent.goneTime) lastAgents.set(name, agent);
    }
    const names = [...lastAgents.keys()].toSorted();
    const served = await this.#database.run((db) => selectServedAccounts(db, names, live), signal);
    return names.flatMap((name) => {
      const lastAgent = lastAgents.get(name);
      return lastAgent === undefined || served.has(name) ? [] : [{ name, lastAgent }];
    });
  }

  /** Kubernetes replaces a pod by one with another name: a new agent of the zone takes the place of the one that left first. */
  async #withReplacements(agents: readonly OfflineAgent[], signal: AbortSignal): Promise<OfflineAgent[]> {
    const zones = new Set(agents.map(({ zoneId }) => zoneId));
    zones.delete('');
    if (zones.size === 0) return [...agents];
    const since = Math.min(...agents.map(({ goneTime }) => goneTime));
    const arrivals = new Map<string, { readonly agentId: string; readonly time: number }[]>();
    for (const batch of batches([...zones])) {
      const rows = await this.#database.run((db) => selectZoneMembers(db, batch, since, maxOffline), signal);
      for (const row of rows) {
        const arrived = arrivals.get(row.zone_id) ?? [];
        arrived.push({ agentId: row.agent_id, time: row.first_seen_time });
        arrivals.set(row.zone_id, arrived);
      }
    }
    const next = new Map<string, number>();
    return agents
      .toSorted((a, b) => a.goneTime - b.goneTime)
      .map((agent) => {
        const arrived = arrivals.get(agent.zoneId) ?? [];
        let index = next.get(agent.zoneId) ?? 0;
        while ((arrived[index]?.time ?? Number.POSITIVE_INFINITY) <= agent.goneTime) index += 1;
        next.set(agent.zoneId, index + 1);
        const replacement = arrived[index];
        return replacement === undefined ? agent : { ...agent, replacedBy: replacement.agentId };
      });
  }
}

function toOffline(row: AgentsTable): OfflineAgent {
  return {
    agentId: row.agent_id,
    zoneId: row.zone_id,
    version: row.version,
    instanceId: row.cd_id,
    accounts: row.accounts === null ? [] : (JSON.parse(row.accounts) as string[]),
    connectedTime: row.connected_time,
    goneTime: row.gone_time ?? 0,
    reason: departureReasons.find((reason) => reason === row.reason) ?? 'error',
    ...(row.message === null ? {} : { message: row.message }),
  };
}
