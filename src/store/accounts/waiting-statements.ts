/** Which instances' turns are still to come, as statements on dynamic accounts in kubesvc_accounts: one function for each. */

import { sql, type Kysely, type RawBuilder } from 'kysely';

import type { AccountStatus } from './account-lifecycle.js';
import { waitingText } from './account-row.js';
import { batchSize } from '../../core/batches.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

/** Dynamic accounts in these statuses that agents of the zone are to serve; `limit` after the name `after`, and 500, at most. */
export function selectAccountsOfZone(
  db: Db,
  zoneId: string,
  statuses: readonly AccountStatus[],
  after: string,
  limit: number,
): Promise<{ name: string; definition_version: number }[]> {
  return db
    .selectFrom('kubesvc_accounts')
    .select(['name', 'definition_version'])
    .where('zone_id', 'in', [...new Set([zoneId, ''])])
    .where('dynamic', '=', true)
    .where('status', 'in', statuses)
    .where('name', '>', after)
    .orderBy('name')
    .limit(Math.min(limit, batchSize))
    .execute();
}

/** Locks those of the accounts that are dynamic and in one of the statuses, in name order. */
export function lockWaiting(
  db: Db,
  names: readonly string[],
  statuses: readonly AccountStatus[],
): Promise<{ name: string; waiting_cd_ids: string | null }[]> {
  return db
    .selectFrom('kubesvc_accounts')
    .select(['name', 'waiting_cd_ids'])
    .where('name', 'in', names)
    .where('dynamic', '=', true)
    .where('status', 'in', statuses)
    .orderBy('name')
    .forUpdate()
    .execute();
}

/** Makes locked accounts wait for these instances, due at once. */
export async function waitFor(
  db: Db,
  dialect: SqlDialect,
  instanceIds: Iterable<string>,
  names: readonly string[],
): Promise<void> {
  await db
    .updateTable('kubesvc_accounts')
    .set({ waiting_cd_ids: waitingText(instanceIds), due_time: dueNow(dialect) })
    .where('name', 'in', names)
    .execute();
}

/** An instance whose turn it is ends that first. */
export function dueNow({ nowMs }: SqlDialect): RawBuilder<number> {
  return sql<number>`case when claimed_by_cd_id is null then ${nowMs} else due_time end`;
}

/** Due accounts no longer wait for the instance. */
export async function stopWaitingFor(
  db: Db,
  dialect: SqlDialect,
  instanceId: string,
  names: readonly string[],
): Promise<void> {
  await db
    .updateTable('kubesvc_accounts')
    .set({ waiting_cd_ids: sql<string>`replace(waiting_cd_ids, ${waitingText([instanceId])}, '')` })
    .where('name', 'in', names)
    .where('due_time', '<=', dialect.nowMs)
    .execute();
}
