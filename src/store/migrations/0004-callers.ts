/** The history knows who asked for what, on which object. Older versions ignore this and keep working. */

import { initialTables } from '../sql/tables.js';
import { ensureTable, type MigrationContext } from './ensure-table.js';

export async function callers(context: MigrationContext): Promise<void> {
  for (const table of initialTables) if (table.name === 'kubesvc_ops_history') await ensureTable(context, table);
}
