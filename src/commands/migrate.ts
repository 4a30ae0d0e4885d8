/** `agent-gateway migrate`: brings the tables up to date, for those who do not want a replica to do it at its start. */

import type { CommandIo } from '../command-line/command.js';
import { silentLogger } from '../core/logger.js';
import type { Config } from '../gateway/config/config.js';
import { databaseOptions } from '../gateway/config/database-options.js';
import { openDatabase } from '../store/sql/database.js';
import { migrate } from '../store/migrations/migrate.js';

/**
 * @returns the exit code
 * @throws GatewayError `dependency-unavailable` or `configuration` in one sentence
 */
export async function runMigrate(
  config: Config,
  { signal, stdout }: Pick<CommandIo, 'signal' | 'stdout'>,
): Promise<number> {
  const database = openDatabase(await databaseOptions(config, 'migration'));
  try {
    const applied = await migrate(database, { logger: silentLogger, signal });
    stdout.write(applied.length === 0 ? 'The tables are up to date.\n' : `Applied: ${applied.join(', ')}\n`);
    return 0;
  } finally {
    await database.close();
  }
}
