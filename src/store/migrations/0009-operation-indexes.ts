/**
 * Takes away two indexes of the history: a replica handles a large part of all operations, so a list by replica is read by time.
 * Older versions work without them, but search by replica slowly.
 */

import { sql } from 'kysely';

import type { MigrationContext } from './ensure-table.js';
import { findTable } from './introspect.js';

const unneeded: ReadonlySet<string> = new Set(
  ['received_by_cd_id', 'processed_by_cd_id'].map((column) => `kubesvc_ops_history_${column}_start_time_idx`),
);

export async function operationIndexes({ db, dialect, signal }: MigrationContext): Promise<void> {
  const found = await findTable(db, dialect, 'kubesvc_ops_history');
  for (const { name } of found?.indexes ?? []) {
    if (!unneeded.has(name)) continue;
    signal.throwIfAborted();
    // Other replicas go on writing meanwhile; MySQL lets them by itself.
    await (
      dialect.engine === 'mysql'
        ? sql`drop index ${sql.id(name)} on kubesvc_ops_history`
        : sql`drop index concurrently if exists ${sql.id(name)}`
    ).execute(db);
  }
}
