/**
 * The history knows the object of every operation, and is searched by it; pending operations know it, too. Older versions
 * ignore this and keep working.
 */

import { initialTables } from '../sql/tables.js';
import { ensureTable, type MigrationContext } from './ensure-table.js';

const changed: ReadonlySet<string> = new Set(['kubesvc_ops', 'kubesvc_ops_history']);

export async function operationObjects(context: MigrationContext): Promise<void> {
  for (const table of initialTables) if (changed.has(table.name)) await ensureTable(context, table);
}
