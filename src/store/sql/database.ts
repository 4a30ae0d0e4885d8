/** The connection pool to SQL: opened lazily, one class for MySQL, MariaDB, PostgreSQL and the embedded PGlite. */

import { setMaxListeners } from 'node:events';

import { Kysely, sql, type Transaction } from 'kysely';

import { unlessAborted, unlessLate } from '../../core/deadline.js';
import { retry, type Backoff } from '../../core/retry.js';
import type { DatabaseOptions } from './database-options.js';
import { parseDatabaseUrl, type DatabaseTarget } from './database-url.js';
import { mysqlDialect, postgresDialect, type SqlDialect } from './dialect.js';
import { mysqlEngine } from './engine-mysql.js';
import { pgliteEngine } from './engine-pglite.js';
import { postgresEngine } from './engine-postgres.js';
import type { Engine } from './engine.js';
import { Permits } from './permits.js';
import type { Schema } from './schema.js';
import { nothingDone, sqlErrorKind, toStoreError } from './sql-error.js';

/** Connections of the pool, for metrics. */
export interface PoolNumbers {
  /** Open connections. */
  readonly size: number;
  readonly idle: number;
  /** Callers that wait for one. */
  readonly waiting: number;
}

/** How the pool was set up, without secrets. */
export interface PoolSettings {
  readonly engine: 'mysql' | 'postgresql' | 'pglite';
  /** Host and port, or the place where the embedded engine keeps its data. */
  readonly address: string;
  readonly maxPoolSize: number;
  readonly connectionTimeoutMs: number;
  readonly queryTimeoutMs: number;
  readonly tls: boolean;
}

/**
 * A conflict of transactions passes in milliseconds; a restart of the server does not, and the caller must wait for it.
 */
const backoff: Backoff = { initialMs: 10, maximumMs: 500, multiplier: 2, jitter: 0.5 };
const attempts = 8;
/** After a lost connection, or one to a server that has become a replica: the pool may hold others like it. */
const connectionAttempts = 3;

/** @throws GatewayError configuration, when the URL cannot be used */
export function openDatabase(options: DatabaseOptions): Database {
  return new Database(options);
}

export class Database {
  readonly engine: 'mysql' | 'postgresql';
  /** For src/store alone. */
  readonly dialect: SqlDialect;
  /** For src/store alone; `run` and `transaction` add bounds, retries and errors that are safe to show. */
  readonly db: Kysely<Schema>;
  readonly #options: DatabaseOptions;
  readonly #address: string;
  readonly #embedded: boolean;
  readonly #connections: Engine;
  readonly #permits: Permits;
  #closed: Promise<void> | undefined;

  /** Use `openDatabase`. */
  constructor(options: DatabaseOptions) {
    const target = parseDatabaseUrl(options.url);
    this.#options = options;
    this.#embedded = target.kind === 'pglite';
    this.engine = target.kind === 'mysql' ? 'mysql' : 'postgresql';
    this.dialect = target.kind === 'mysql' ? mysqlDialect : postgresDialect;
    this.#address = target.kind === 'pglite' ? (target.directory ?? 'pglite:memory') : `${target.host}:${target.port}`;
    this.#connections = engineOf(target, options);
    this.#permits = new Permits(this.#embedded ? 1 : options.maxPoolSize, options.connectionTimeoutMs);
    this.db = new Kysely<Schema>({ dialect: this.#connections.kysely });
  }

  /** @throws GatewayError dependency-unavailable, in one sentence with host, port and reason */
  async ping(signal: AbortSignal): Promise<void> {
    await this.#once(() => sql`select 1`.execute(this.db), signal).catch((error: unknown) => {
      signal.throwIfAborted();
      throw toStoreError(error, this.#address);
    });
  }

  /**
   * Bytes of values that one statement should have at most. MySQL's packets hold bytes as two characters each, and the
   * server limits their size (by default 16 MB in MariaDB, 64 MB in MySQL).
   */
  get statementBytes(): number {
    return Math.min(4 * 1_024 * 1_024, Math.floor(this.packetBytes / 3));
  }

  /** MySQL's max_allowed_packet, once a connection was made; Infinity if the engine has no such limit. */
  get packetBytes(): number {
    return this.#connections.packetBytes();
  }

  /**
   * Why nothing new can be stored, if that is known before a statement fails: the disk of the embedded engine is full.
   */
  get lack(): string | undefined {
    return this.#connections.lack?.();
  }

  pool(): PoolNumbers {
    return { ...this.#connections.numbers(), waiting: this.#permits.waiting };
  }

  settings(): PoolSettings {
    const { maxPoolSize, connectionTimeoutMs, queryTimeoutMs, ssl } = this.#options;
    return {
      engine: this.#embedded ? 'pglite' : this.engine,
      address: this.#address,
      maxPoolSize: this.#embedded ? 1 : maxPoolSize,
      connectionTimeoutMs,
      queryTimeoutMs,
      tls: ssl !== undefined,
    };
  }

  /**
   * Runs a task on one connection, and again if a conflict or a lost connection stopped it, so the task must be
   * repeatable. When the signal aborts, a statement that was sent is no longer waited for, but may still take effect.
   * @throws GatewayError dependency-unavailable, overloaded or internal; the signal's reason
   */
  async run<T>(task: (db: Kysely<Schema>, attempt: number) => Promise<T>, signal?: AbortSignal): Promise<T> {
    let sent = false;
    const attempted = async (attempt: number): Promise<T> => {
      try {
        return await this.#once(() => task(this.db, attempt), signal);
      } catch (error) {
        sent ||= !nothingDone(error);
        throw error;
      }
    };
    const retried = { signal: signal ?? neverAborts, attempts, backoff, retryable: retryable() };
    try {
      return await retry(attempted, retried);
    } catch (error) {
      signal?.throwIfAborted();
      throw toStoreError(error, this.#address, !sent);
    }
  }

  /** Like `run`, the task being one transaction at READ COMMITTED; use `trx` for everything in it. */
  async transaction<T>(
    task: (trx: Transaction<Schema>, attempt: number) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    return this.run((db, attempt) => db.transaction().execute((trx) => task(trx, attempt)), signal);
  }

  /**
   * Runs a task on a database of its own, whose statements may take `queryTimeoutMs`, then closes it: for schema
   * changes of large tables. The embedded engine has one connection and no timeout, so there it is this database.
   */
  async withQueryTimeout<T>(queryTimeoutMs: number, task: (database: Database) => Promise<T>): Promise<T> {
    if (this.#embedded) return task(this);
    const database = new Database({ ...this.#options, queryTimeoutMs, maxPoolSize: 1 });
    try {
      return await task(database);
    } finally {
      await database.close();
    }
  }

  /**
   * One more connection to the same database, for statements that must never wait for others; the caller closes it. The
   * embedded engine has one connection, and returns this database itself.
   */
  reserved(): Database {
    return this.#embedded ? this : new Database({ ...this.#options, maxPoolSize: 1 });
  }

  /** Ends every connection, waiting `connectionTimeoutMs` at most; calling it again gives the same promise. */
  close(): Promise<void> {
    this.#closed ??= unlessLate(this.db.destroy(), this.#options.connectionTimeoutMs);
    return this.#closed;
  }

  async #once<T>(task: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    // One signal of the process may cover any number of statements: that is not a leak.
    if (signal !== undefined) setMaxListeners(0, signal);
    const release = await this.#permits.acquire(signal);
    if (signal?.aborted === true) release();
    signal?.throwIfAborted();
    const running = task().finally(release);
    return unlessAborted(running, signal);
  }
}

const neverAborts = new AbortController().signal;

function engineOf(target: DatabaseTarget, options: DatabaseOptions): Engine {
  if (target.kind === 'pglite') return pgliteEngine(target.directory);
  const server = { ...target, user: options.user ?? target.user, password: options.password ?? target.password };
  return target.kind === 'mysql' ? mysqlEngine(server, options) : postgresEngine(server, options);
}

function retryable(): (error: unknown) => boolean {
  let lost = 0;
  return (error) => {
    const kind = sqlErrorKind(error);
    const isLost = kind === 'connection' || kind === 'read-only';
    if (isLost) lost += 1;
    return kind === 'conflict' || (isLost && lost < connectionAttempts);
  };
}
