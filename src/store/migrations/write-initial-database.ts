/** The last step of `npm run build`: makes what ../sql/initial-database.ts reads. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { silentLogger } from '../../core/logger.js';
import { openDatabase } from '../sql/database.js';
import { initialDatabaseFile } from '../sql/initial-database.js';
import { migrate } from './migrate.js';

const timeMs = 120_000;

const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-build-'));
try {
  const dataDir = join(directory, 'data');
  const database = openDatabase({
    url: `pglite:${dataDir}`,
    maxPoolSize: 1,
    connectionTimeoutMs: timeMs,
    queryTimeoutMs: timeMs,
  });
  await migrate(database, { logger: silentLogger, signal: AbortSignal.timeout(timeMs) });
  await database.close();
  const pglite = await PGlite.create({ dataDir });
  const files = await pglite.dumpDataDir('gzip');
  await pglite.close();
  await writeFile(initialDatabaseFile, Buffer.from(await files.arrayBuffer()));
} finally {
  await rm(directory, { recursive: true });
}
