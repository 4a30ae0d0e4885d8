/** Binds accounts and zones to identities. Versions before know nothing of it, and go on. */

import { ownersTable } from '../sql/tables.js';
import { ensureTable, type MigrationContext } from './ensure-table.js';

export async function owners(context: MigrationContext): Promise<void> {
  await ensureTable(context, ownersTable);
}
