/** Keeps what became of accounts at Clouddriver. Older versions ignore this and keep working. */

import { clouddriverAccountsTable } from '../sql/tables.js';
import { ensureTable, type MigrationContext } from './ensure-table.js';

export async function clouddriverAccounts(context: MigrationContext): Promise<void> {
  await ensureTable(context, clouddriverAccountsTable);
}
