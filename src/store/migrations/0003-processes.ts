/** Tells the processes of an agent apart. Versions before know nothing of it, and go on. */

import { initialTables } from '../sql/tables.js';
import { ensureTable, type MigrationContext } from './ensure-table.js';

const changed: ReadonlySet<string> = new Set(['kubesvc_assignments', 'kubesvc_ops']);

export async function processes(context: MigrationContext): Promise<void> {
  for (const table of initialTables) if (changed.has(table.name)) await ensureTable(context, table);
}
