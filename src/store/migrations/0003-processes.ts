/** Distinguishes the processes of an agent. Older versions ignore this and keep working. */

import { initialTables } from '../sql/tables.js';
import { ensureTable, type MigrationContext } from './ensure-table.js';

const changed: ReadonlySet<string> = new Set(['kubesvc_assignments', 'kubesvc_ops']);

export async function processes(context: MigrationContext): Promise<void> {
  for (const table of initialTables) if (changed.has(table.name)) await ensureTable(context, table);
}
