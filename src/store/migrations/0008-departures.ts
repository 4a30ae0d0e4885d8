/** Agents and instances that are gone stay known for a while. Older versions ignore this and keep working. */

import { agentsTable, initialTables } from '../sql/tables.js';
import { ensureTable, type MigrationContext } from './ensure-table.js';

export async function departures(context: MigrationContext): Promise<void> {
  await ensureTable(context, agentsTable);
  for (const table of initialTables) if (table.name === 'kubesvc_instances') await ensureTable(context, table);
}
