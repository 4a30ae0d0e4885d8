/** Binds accounts and zones to principals. Older versions ignore this and keep working. */

import { ownersTable } from '../sql/tables.js';
import { ensureTable, type MigrationContext } from './ensure-table.js';

export async function owners(context: MigrationContext): Promise<void> {
  await ensureTable(context, ownersTable);
}
