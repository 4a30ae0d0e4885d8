/** Brings the schema up to date, under a lock that one replica at a time holds. */

import type { Kysely } from 'kysely';

import { GatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { wait } from '../../core/retry.js';
import type { Database } from '../sql/database.js';
import { serverVersion } from './examination.js';
import { initial } from './0001-initial.js';
import { owners } from './0002-owners.js';
import { processes } from './0003-processes.js';
import { callers } from './0004-callers.js';
import { accountTokens } from './0005-account-tokens.js';
import { clouddriverAccounts } from './0006-clouddriver-accounts.js';
import { operationObjects } from './0007-operation-objects.js';
import { departures } from './0008-departures.js';
import { operationIndexes } from './0009-operation-indexes.js';
import { ensureTable, type MigrationContext } from './ensure-table.js';
import { findTable } from './introspect.js';
import type { Schema } from '../sql/schema.js';
import { migrationsTable } from '../sql/tables.js';

export interface MigrateOptions {
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** How long to wait for another replica that migrates, in ms; default 60,000. */
  readonly lockTimeoutMs?: number;
}

interface Migration {
  readonly name: string;
  /** Whether versions of the gateway without this migration must no longer run. */
  readonly breaking: boolean;
  /** Must be repeatable: MySQL commits every change of the schema at once. */
  readonly apply: (context: MigrationContext) => Promise<void>;
}

/** In the order in which they are applied; never change one that was released. */
const migrations: readonly Migration[] = [
  { name: '0001-initial', breaking: true, apply: initial },
  { name: '0002-owners', breaking: false, apply: owners },
  { name: '0003-processes', breaking: false, apply: processes },
  { name: '0004-callers', breaking: false, apply: callers },
  { name: '0005-account-tokens', breaking: false, apply: accountTokens },
  { name: '0006-clouddriver-accounts', breaking: false, apply: clouddriverAccounts },
  { name: '0007-operation-objects', breaking: false, apply: operationObjects },
  { name: '0008-departures', breaking: false, apply: departures },
  { name: '0009-operation-indexes', breaking: false, apply: operationIndexes },
];

/** Filling a new index or column of a large table takes long. */
const statementTimeoutMs = 600_000;
const lockName = 'kubesvc-migrations';
const lockPauseMs = 200;

/**
 * Applies missing migrations; safe if many replicas start at once; adopts tables that Armory's plugin made.
 * @returns the names of the migrations that this call applied
 * @throws GatewayError configuration, naming table, column and what to do, when the server is too old, the tables
 *   cannot be adopted, or a newer version of the gateway changed them in a way that this one does not understand
 * @throws GatewayError dependency-unavailable
 */
export async function migrate(database: Database, options: MigrateOptions): Promise<readonly string[]> {
  const { product, version, minimum, supported } = await serverVersion(database, options.signal);
  if (!supported) {
    const message = `the database is ${product} ${version}; the gateway needs ${product} ${minimum} or newer`;
    throw new GatewayError('configuration', message, { field: 'sql.url' });
  }
  const missing = await database.run((db) => missingMigrations(db, database), options.signal);
  if (missing.length === 0) return [];
  return database.withQueryTimeout(statementTimeoutMs, (own) =>
    own.run(
      (db) => db.connection().execute((connection) => migrateLocked(connection, database, options)),
      options.signal,
    ),
  );
}

async function migrateLocked(
  db: Kysely<Schema>,
  { dialect }: Database,
  { logger, signal, lockTimeoutMs = 60_000 }: MigrateOptions,
): Promise<readonly string[]> {
  const deadline = performance.now() + lockTimeoutMs;
  while (!(await dialect.tryLock(db, lockName))) {
    if (performance.now() >= deadline) {
      throw new GatewayError(
        'dependency-unavailable',
        `another instance has been migrating the database for ${lockTimeoutMs} ms; see its log, or start this one again later`,
        { field: 'sql.url' },
      );
    }
    await wait(lockPauseMs, signal);
  }
  try {
    const context: MigrationContext = { db, dialect, logger, signal };
    await ensureTable(context, migrationsTable);
    const missing = await missingMigrations(db, { dialect });
    for (const migration of missing) {
      await migration.apply(context);
      await db
        .insertInto('kubesvc_migrations')
        .values({ name: migration.name, breaking: migration.breaking, applied_time: dialect.nowMs })
        .execute();
      logger.info({ migration: migration.name }, 'database migrated');
    }
    return missing.map(({ name }) => name);
  } finally {
    // A lock of a lost connection is free already.
    await dialect.unlock(db, lockName).catch(() => undefined);
  }
}

async function missingMigrations(
  db: Kysely<Schema>,
  { dialect }: Pick<Database, 'dialect'>,
): Promise<readonly Migration[]> {
  if ((await findTable(db, dialect, migrationsTable.name)) === undefined) return migrations;
  const applied = await db.selectFrom('kubesvc_migrations').select(['name', 'breaking']).execute();
  const known = new Set(migrations.map(({ name }) => name));
  const newer = applied.find(({ name, breaking }) => !known.has(name) && Boolean(breaking));
  if (newer !== undefined) {
    throw new GatewayError(
      'configuration',
      `a newer version of the gateway changed the database (migration ${newer.name}): run that version or a newer one`,
      { field: 'sql.url' },
    );
  }
  const names = new Set(applied.map(({ name }) => name));
  return migrations.filter(({ name }) => !names.has(name));
}
