/** kubesvc_instances: the replicas that are alive, by their heartbeats on the database's clock. */

import { sql, type RawBuilder } from 'kysely';

import type { Database } from '../sql/database.js';

export interface InstanceRegistration {
  readonly id: string;
  readonly baseUrl: string;
  readonly version: string;
  /** Agents registered on it, for rebalancing. */
  readonly agents: number;
}

export interface InstanceRecord extends InstanceRegistration {
  /** Last heartbeat, in ms UTC on the database's clock; 0 once the instance has said that it goes. */
  readonly lastHeartbeatTime: number;
}

export class InstanceStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Says that the instance is alive.
   * @returns 'renewed', or 'started' when there was no heartbeat within `leaseMs` before: others may have released
   *   its assignments since, so every connection has to be claimed again
   */
  async heartbeat(
    instance: InstanceRegistration,
    leaseMs: number,
    signal?: AbortSignal,
  ): Promise<'renewed' | 'started'> {
    const { dialect } = this.#database;
    const { baseUrl, version, agents } = instance;
    const row = { base_url: baseUrl, version, agents, last_updated: dialect.nowMs };
    return this.#database.run(async (db) => {
      const renewed = await db
        .updateTable('kubesvc_instances')
        .set(row)
        .where('id', '=', instance.id)
        .where('last_updated', '>', this.#since(leaseMs))
        .executeTakeFirst();
      if (renewed.numUpdatedRows > 0n) return 'renewed';
      const start = db.insertInto('kubesvc_instances').values({ id: instance.id, ...row });
      await dialect.upsert(start, ['id'], ['base_url', 'version', 'agents', 'last_updated']).execute();
      return 'started';
    }, signal);
  }

  /**
   * Ends the instance's lease. Its row stays until nothing is assigned to it any more, so that whoever looks for
   * expired instances releases what it left.
   */
  async remove(id: string, signal?: AbortSignal): Promise<void> {
    await this.#database.run(
      (db) => db.updateTable('kubesvc_instances').set({ last_updated: 0 }).where('id', '=', id).execute(),
      signal,
    );
  }

  /** Instances whose last heartbeat is younger than `leaseMs`, in the order of their ids. */
  live(leaseMs: number, signal?: AbortSignal): Promise<readonly InstanceRecord[]> {
    return this.#select('>', leaseMs, signal);
  }

  /** Instances whose last heartbeat is older, or that went. */
  expired(leaseMs: number, signal?: AbortSignal): Promise<readonly InstanceRecord[]> {
    return this.#select('<=', leaseMs, signal);
  }

  /** Deletes the row of an expired instance without assignments; `false`: it is alive or still owns something. */
  async forget(id: string, leaseMs: number, signal?: AbortSignal): Promise<boolean> {
    return this.#database.run(async (db) => {
      const deleted = await db
        .deleteFrom('kubesvc_instances')
        .where('id', '=', id)
        .where('last_updated', '<=', this.#since(leaseMs))
        .where((eb) =>
          eb.not(
            eb.exists(
              eb
                .selectFrom('kubesvc_assignments')
                .select('kubesvc_assignments.id')
                .whereRef('kubesvc_assignments.cd_id', '=', 'kubesvc_instances.id'),
            ),
          ),
        )
        .executeTakeFirst();
      return deleted.numDeletedRows > 0n;
    }, signal);
  }

  async #select(comparison: '>' | '<=', leaseMs: number, signal?: AbortSignal): Promise<readonly InstanceRecord[]> {
    const rows = await this.#database.run(
      (db) =>
        db
          .selectFrom('kubesvc_instances')
          .selectAll()
          .where('last_updated', comparison, this.#since(leaseMs))
          .orderBy('id')
          .execute(),
      signal,
    );
    return rows.map((row) => ({
      id: row.id,
      baseUrl: row.base_url,
      version: row.version,
      agents: row.agents,
      lastHeartbeatTime: row.last_updated,
    }));
  }

  #since(leaseMs: number): RawBuilder<number> {
    return sql<number>`${this.#database.dialect.nowMs} - ${sql.lit(leaseMs)}`;
  }
}
