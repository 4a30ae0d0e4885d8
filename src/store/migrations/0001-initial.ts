/** The first schema: makes every table, or adopts those that Armory's plugin made. */

import { sql } from 'kysely';

import { initialTables } from '../sql/tables.js';
import { ensureTable, type MigrationContext } from './ensure-table.js';

export async function initial(context: MigrationContext): Promise<void> {
  for (const table of initialTables) await ensureTable(context, table);
  const { db, dialect } = context;
  // Adopted accounts: their versions start at the clock, too, see store/accounts/registration-statements.ts.
  await db
    .updateTable('kubesvc_accounts')
    .set({ assignments_version: dialect.nowMs })
    .where('assignments_version', '=', 0)
    .execute();
  const highest = sql<number>`coalesce((select max(epoch) from kubesvc_assignments), 0)`;
  const counter = db.insertInto('kubesvc_counters').values({ name: 'epoch', value: highest });
  await dialect.insertMissing(counter, ['name']).execute();
}
