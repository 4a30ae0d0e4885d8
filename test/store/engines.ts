/** The same suite on every engine: a migrated database for each engine of a test file. */

import { test, type Test } from 'tap';

import { silentLogger } from '../../src/core/logger.js';
import type { DatabaseOptions } from '../../src/store/database-options.js';
import { openDatabase, type Database } from '../../src/store/database.js';
import { migrate } from '../../src/store/migrate.js';
import { initialTables } from '../../src/store/tables.js';
import { mariaDbDatabase, postgresDatabase, type TestDatabase, type TestWithTeardown } from '../services/databases.js';

export const limits = { maxPoolSize: 8, connectionTimeoutMs: 10_000, queryTimeoutMs: 10_000 };

export interface EngineUnderTest {
  readonly name: 'mariadb' | 'postgresql' | 'pglite';
  /** Another pool on the same, empty database; the embedded engine has one connection and gives the same. */
  readonly open: (options?: Partial<DatabaseOptions>) => Database;
}

const urls: Readonly<Record<EngineUnderTest['name'], (t: TestWithTeardown) => Promise<TestDatabase>>> = {
  mariadb: mariaDbDatabase,
  postgresql: postgresDatabase,
  pglite: () => Promise.resolve({ url: 'pglite:memory' }),
};

/** Runs a suite on an empty database of each engine. */
export function onEveryEngine(suite: (t: Test, engine: EngineUnderTest) => Promise<void>): void {
  for (const name of ['mariadb', 'postgresql', 'pglite'] as const) {
    void test(name, async (t) => {
      const { url } = await urls[name](t);
      const opened: Database[] = [];
      // Registered later, run earlier: the pools are closed before the database is dropped.
      t.teardown(async () => {
        for (const database of opened) await database.close();
      });
      await suite(t, {
        name,
        open: (options) => {
          const [first] = opened;
          if (name === 'pglite' && first !== undefined) return first;
          const database = openDatabase({ url, ...limits, ...options });
          opened.push(database);
          return database;
        },
      });
    });
  }
}

/** As `onEveryEngine`, migrated; every subtest begins with empty tables. */
export function onEveryMigratedEngine(
  suite: (t: Test, database: Database, engine: EngineUnderTest) => Promise<void>,
): void {
  onEveryEngine(async (t, engine) => {
    const database = engine.open();
    await migrate(database, { logger: silentLogger, signal: AbortSignal.timeout(120_000) });
    t.beforeEach(() => empty(database));
    await suite(t, database, engine);
  });
}

async function empty(database: Database): Promise<void> {
  for (const { name } of initialTables) {
    if (name !== 'kubesvc_counters') await database.run((db) => db.deleteFrom(name).execute());
  }
}
