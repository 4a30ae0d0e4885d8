/** The statements on kubesvc_instances: one function for each. `leaseMs`: an instance is live while its heartbeat is younger. */

import type { ExpressionBuilder, Kysely } from 'kysely';

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
  const start = db
    .insertInto('kubesvc_instances')
    .values({ id: instance.id, ...heartbeat(dialect, instance), first_seen_time: dialect.nowMs });
  await dialect.upsert(start, ['id'], ['base_url', 'version', 'agents', 'last_updated']).execute();
}

function heartbeat({ nowMs }: SqlDialect, { baseUrl, version, agents }: InstanceRegistration) {
  return { base_url: baseUrl, version, agents, last_updated: nowMs };
}

export async function endLease(db: Db, id: string): Promise<void> {
  await db.updateTable('kubesvc_instances').set({ last_updated: 0 }).where('id', '=', id).execute();
}

/**
 * In the order of their ids. `expired`: those that others have not taken over from; `lost`: that did not end their leases
 * themselves.
 */
export async function selectInstances(
  db: Db,
  dialect: SqlDialect,
  which: 'live' | 'expired' | 'lost',
  leaseMs: number,
): Promise<InstanceRecord[]> {
  let query = db
    .selectFrom('kubesvc_instances')
    .selectAll()
    .where('last_updated', which === 'live' ? '>' : '<=', msAgo(dialect, leaseMs))
    .orderBy('id');
  if (which === 'lost') query = query.where('last_updated', '>', 0);
  // Compared with the heartbeat, so that a row which an older version of the gateway uses again is reaped again.
  if (which === 'expired') {
    query = query.where((eb) => eb.or([eb('last_updated', '=', 0), eb('last_updated', '<>', eb.ref('reaped_time'))]));
  }
  const rows = await query.execute();
  return rows.map((row) => ({
    id: row.id,
    baseUrl: row.base_url,
    version: row.version,
    agents: row.agents,
    lastHeartbeatTime: row.last_updated,
    firstSeenTime: row.first_seen_time,
  }));
}

/** Undefined: it has no row. */
export async function selectLastHeartbeat(db: Db, id: string): Promise<number | undefined> {
  const row = await db.selectFrom('kubesvc_instances').select('last_updated').where('id', '=', id).executeTakeFirst();
  return row?.last_updated;
}

/** @returns false when the instance is live, has ended its lease itself, or still has assignments */
export async function markReaped(db: Db, dialect: SqlDialect, id: string, leaseMs: number): Promise<boolean> {
  const marked = await db
    .updateTable('kubesvc_instances')
    .set((eb) => ({ reaped_time: eb.ref('last_updated') }))
    .where('id', '=', id)
    .where('last_updated', '>', 0)
    .where('last_updated', '<=', msAgo(dialect, leaseMs))
    .where(ownsNothing)
    .executeTakeFirst();
  return marked.numUpdatedRows > 0n;
}

/** Lost instances that nothing is left to take over from. @returns how many were deleted */
export async function deleteReapedInstances(
  db: Db,
  dialect: SqlDialect,
  which: { readonly id: string } | { readonly ageMs: number },
  leaseMs: number,
): Promise<number> {
  let query = db
    .deleteFrom('kubesvc_instances')
    .where('last_updated', '>', 0)
    .where('last_updated', '<=', msAgo(dialect, leaseMs))
    .where((eb) => eb('last_updated', '=', eb.ref('reaped_time')));
  if ('id' in which) query = query.where('id', '=', which.id);
  else query = query.where('last_updated', '<', msAgo(dialect, which.ageMs));
  const deleted = await query.executeTakeFirst();
  return Number(deleted.numDeletedRows);
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

/** @returns false when the instance has not ended its lease, or still has assignments */
export async function deleteEndedInstance(db: Db, id: string): Promise<boolean> {
  const deleted = await db
    .deleteFrom('kubesvc_instances')
    .where('id', '=', id)
    .where('last_updated', '=', 0)
    .where(ownsNothing)
    .executeTakeFirst();
  return deleted.numDeletedRows > 0n;
}

function ownsNothing(eb: ExpressionBuilder<Schema, 'kubesvc_instances'>) {
  return eb.not(
    eb.exists(
      eb
        .selectFrom('kubesvc_assignments')
        .select('kubesvc_assignments.id')
        .whereRef('kubesvc_assignments.cd_id', '=', 'kubesvc_instances.id'),
    ),
  );
}
