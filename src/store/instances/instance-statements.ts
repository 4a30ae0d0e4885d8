/** The statements on kubesvc_instances: one function for each. `leaseMs`: an instance is live while its heartbeat is younger. */

import type { Kysely } from 'kysely';

import type { InstanceRecord, InstanceRegistration } from './instance-record.js';
import { msAgo } from '../sql/clock.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

/** @returns false when the instance is not live */
export async function renewLease(
  db: Db,
  dialect: SqlDialect,
  instance: InstanceRegistration,
  leaseMs: number,
): Promise<boolean> {
  const renewed = await db
    .updateTable('kubesvc_instances')
    .set(heartbeat(dialect, instance))
    .where('id', '=', instance.id)
    .where('last_updated', '>', msAgo(dialect, leaseMs))
    .executeTakeFirst();
  return renewed.numUpdatedRows > 0n;
}

/** Makes the instance live, whether it has a row or not. */
export async function startLease(db: Db, dialect: SqlDialect, instance: InstanceRegistration): Promise<void> {
  const start = db.insertInto('kubesvc_instances').values({ id: instance.id, ...heartbeat(dialect, instance) });
  await dialect.upsert(start, ['id'], ['base_url', 'version', 'agents', 'last_updated']).execute();
}

function heartbeat({ nowMs }: SqlDialect, { baseUrl, version, agents }: InstanceRegistration) {
  return { base_url: baseUrl, version, agents, last_updated: nowMs };
}

export async function endLease(db: Db, id: string): Promise<void> {
  await db.updateTable('kubesvc_instances').set({ last_updated: 0 }).where('id', '=', id).execute();
}

/** In the order of their ids. */
export async function selectInstances(
  db: Db,
  dialect: SqlDialect,
  which: 'live' | 'expired',
  leaseMs: number,
): Promise<InstanceRecord[]> {
  const rows = await db
    .selectFrom('kubesvc_instances')
    .selectAll()
    .where('last_updated', which === 'live' ? '>' : '<=', msAgo(dialect, leaseMs))
    .orderBy('id')
    .execute();
  return rows.map((row) => ({
    id: row.id,
    baseUrl: row.base_url,
    version: row.version,
    agents: row.agents,
    lastHeartbeatTime: row.last_updated,
  }));
}

/** @returns the ids of the live ones */
export async function selectLiveInstances(db: Db, dialect: SqlDialect, leaseMs: number): Promise<Set<string>> {
  const rows = await db
    .selectFrom('kubesvc_instances')
    .select('id')
    .where('last_updated', '>', msAgo(dialect, leaseMs))
    .execute();
  return new Set(rows.map((row) => row.id));
}

/** @returns false when the instance is live or still has assignments */
export async function deleteExpiredInstance(
  db: Db,
  dialect: SqlDialect,
  id: string,
  leaseMs: number,
): Promise<boolean> {
  const deleted = await db
    .deleteFrom('kubesvc_instances')
    .where('id', '=', id)
    .where('last_updated', '<=', msAgo(dialect, leaseMs))
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
}
