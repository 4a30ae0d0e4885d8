/** The same suite on every engine: a migrated database for each engine of a test file. */

import { test, type Test } from 'tap';

import { silentLogger } from '../../src/core/logger.js';
import type { DatabaseOptions } from '../../src/store/sql/database-options.js';
import { openDatabase, type Database } from '../../src/store/sql/database.js';
import { migrate } from '../../src/store/migrations/migrate.js';
import { initialTables } from '../../src/store/sql/tables.js';
import {
  mariaDbDatabase,
  mySqlDatabase,
  postgresDatabase,
  type TestDatabase,
  type TestWithTeardown,
} from '../services/databases.js';
import { mySqlMissing } from '../services/mysql.js';

export const limits = { maxPoolSize: 8, connectionTimeoutMs: 10_000, queryTimeoutMs: 10_000 };

export interface EngineUnderTest {
  readonly name: 'mariadb' | 'mysql 8.0' | 'mysql 9' | 'postgresql' | 'pglite';
  /** Of its SQL. */
  readonly dialect: Database['engine'];
  /** Another pool on the same, empty database; the embedded engine has one connection and gives the same. */
  readonly open: (options?: Partial<DatabaseOptions>) => Database;
}

interface EngineKind {
  readonly dialect: Database['engine'];
  readonly database: (t: TestWithTeardown) => Promise<TestDatabase>;
  /** Why it cannot be had here. */
  readonly missing?: () => Promise<string | undefined>;
}

const engines: Readonly<Record<EngineUnderTest['name'], EngineKind>> = {
  mariadb: { dialect: 'mysql', database: mariaDbDatabase },
  'mysql 8.0': {
    dialect: 'mysql',
    database: (t) => mySqlDatabase(t, '8.0'),
    missing: () => mySqlMissing('8.0'),
  },
  'mysql 9': { dialect: 'mysql', database: (t) => mySqlDatabase(t, '9'), missing: () => mySqlMissing('9') },
  postgresql: { dialect: 'postgresql', database: postgresDatabase },
  pglite: { dialect: 'postgresql', database: () => Promise.resolve({ url: 'pglite:memory' }) },
};

/** Runs a suite on an empty database of each engine. */
export function onEveryEngine(suite: (t: Test, engine: EngineUnderTest) => Promise<void>): void {
  for (const [name, { dialect, database, missing }] of Object.entries(engines) as [
    EngineUnderTest['name'],
    EngineKind,
  ][]) {
    void test(name, async (t) => {
      const reason = await missing?.();
      if (reason !== undefined) {
        t.pass('a server to test on', { skip: reason });
        return;
      }
      const { url } = await database(t);
      const opened: Database[] = [];
      // Registered later, run earlier: the pools are closed before the database is dropped.
      t.teardown(async () => {
        for (const each of opened) await each.close();
      });
      await suite(t, {
        name,
        dialect,
        open: (options) => {
          const [first] = opened;
          if (name === 'pglite' && first !== undefined) return first;
          const another = openDatabase({ url, ...limits, ...options });
          opened.push(another);
          return another;
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
