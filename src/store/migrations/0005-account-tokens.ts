/** Remembers when the tokens of accounts were revoked. Older versions ignore this and keep working. */

import { tokenRevocationsTable } from '../sql/tables.js';
import { ensureTable, type MigrationContext } from './ensure-table.js';

export async function accountTokens(context: MigrationContext): Promise<void> {
  await ensureTable(context, tokenRevocationsTable);
}
