/** MySQL and MariaDB through mysql2. */

import { isIP } from 'node:net';
import type { ExecuteValues, Pool, PoolConnection, QueryError, RowDataPacket } from 'mysql2';
import { MysqlDialect, type MysqlPool, type MysqlPoolConnection } from 'kysely';

import { idleTimeoutMs, lockTimeoutMs, type Engine, type ServerOptions, type ServerTarget } from './engine.js';
import { isReadOnly } from './sql-error.js';

/**
 * Prefix of a statement that is prepared once on each connection, so that its parameters are not escaped into its text.
 * Only for statements whose text never changes.
 */
export const preparedMark = '/* prepared */ ';

interface PoolQueues {
  readonly _allConnections: { readonly length: number };
  readonly _freeConnections: { readonly length: number };
}

export function mysqlEngine(target: ServerTarget, options: ServerOptions): Engine {
  let pool: Pool | undefined;
  let packetBytes = Number.POSITIVE_INFINITY;
  const open = async (): Promise<MysqlPool> => {
    const { createPool } = await import('mysql2');
    pool = createPool({
      host: target.host,
      port: target.port,
      database: target.database,
      user: target.user,
      password: target.password,
      charset: 'utf8mb4',
      connectionLimit: options.maxPoolSize,
      // It closes idle connections only if it may not keep all of them.
      maxIdle: Math.max(1, options.maxPoolSize - 1),
      idleTimeout: idleTimeoutMs,
      // Says goodbye to the server, which otherwise logs a warning.
      gracefulEnd: true,
      connectTimeout: options.connectionTimeoutMs,
      enableKeepAlive: true,
      jsonStrings: true,
      ...(options.ssl === undefined ? {} : { ssl: { ...options.ssl, ...verification(target, options.ssl) } }),
    });
    pool.on('connection', (connection) => {
      // The running statement gets the failure; an error event without a listener would end the process.
      connection.on('error', () => undefined);
      // Queued before the connection's first statement.
      for (const statement of sessionSettings(options)) {
        connection.query(statement, (error: unknown) => {
          if (error !== null) connection.destroy();
        });
      }
      connection.query('select @@max_allowed_packet as bytes', (error: unknown, rows: unknown) => {
        if (error !== null) connection.destroy();
        else packetBytes = Number((rows as readonly { readonly bytes: number }[])[0]?.bytes);
      });
    });
    return withBounds(pool, options.queryTimeoutMs, () => packetBytes);
  };
  return {
    kysely: new MysqlDialect({ pool: open }),
    numbers: () => {
      // mysql2 has no public counters.
      const queues = pool as unknown as PoolQueues | undefined;
      return { size: queues?._allConnections.length ?? 0, idle: queues?._freeConnections.length ?? 0 };
    },
    packetBytes: () => packetBytes,
  };
}

/** mysql2 verifies the name in the certificate only on request, and never against an address. */
function verification({ host }: ServerTarget, { rejectUnauthorized = true }: NonNullable<ServerOptions['ssl']>) {
  return { rejectUnauthorized, verifyIdentity: rejectUnauthorized && isIP(host) === 0 };
}

/**
 * READ COMMITTED as in PostgreSQL, and because REPEATABLE READ locks gaps between rows: unrelated transactions would
 * deadlock. The SQL mode is ours, because mysql2's escaping is only right without NO_BACKSLASH_ESCAPES.
 */
function sessionSettings(options: ServerOptions): readonly string[] {
  const lockSeconds = Math.ceil(lockTimeoutMs(options) / 1_000);
  return [
    'set session transaction isolation level read committed',
    `set session sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', ` +
      `innodb_lock_wait_timeout = ${lockSeconds}, lock_wait_timeout = ${lockSeconds}` +
      // MariaDB reads only the first comment, MySQL only the second; MySQL's limit applies to SELECT statements only.
      `/*M!100100 , max_statement_time = ${options.queryTimeoutMs / 1_000} */` +
      `/*!50708 , max_execution_time = ${options.queryTimeoutMs} */`,
  ];
}

/**
 * The pool as Kysely uses it, each statement bounded in time and size. A connection is discarded after a timeout, and
 * when it leads to a replica: the next one may lead to the primary.
 */
function withBounds(pool: Pool, timeoutMs: number, packetBytes: () => number): MysqlPool {
  // Kysely recognises a connection by object identity.
  const known = new WeakMap<PoolConnection, MysqlPoolConnection>();
  const bounded = (connection: PoolConnection): MysqlPoolConnection => {
    let broken: QueryError | undefined;
    return {
      config: connection.config,
      threadId: connection.threadId,
      connect: () => undefined,
      destroy: () => connection.destroy(),
      release: () => connection.release(),
      query: (statement, parameters: unknown, callback) => {
        const options = { sql: statement, values: parameters as ExecuteValues[], timeout: timeoutMs };
        const done = (error: QueryError | null, result: RowDataPacket[]): void => {
          if (error !== null && (error.code === 'PROTOCOL_SEQUENCE_TIMEOUT' || isReadOnly(error))) {
            broken = error;
            connection.destroy();
          }
          callback?.(error, result);
        };
        // The rollback that follows must not hide the reason.
        if (broken !== undefined) {
          done(broken, []);
          return undefined as never;
        }
        const prepared = statement.startsWith(preparedMark);
        const bytes = leastBytes(statement, parameters as readonly unknown[] | undefined, prepared);
        if (bytes > packetBytes()) {
          done(tooLarge(bytes, packetBytes()), []);
          return undefined as never;
        }
        return prepared ? connection.execute(options, done) : connection.query(options, done);
      },
    };
  };
  return {
    getConnection: (callback) => {
      pool.getConnection((error, connection) => {
        if (error !== null) {
          callback(error, undefined as unknown as MysqlPoolConnection);
          return;
        }
        const facade = known.get(connection) ?? bounded(connection);
        known.set(connection, facade);
        callback(null, facade);
      });
    },
    end: (callback) => {
      pool.end(callback);
    },
  };
}

/** The minimum size on the wire: bytes outside prepared statements are sent in hexadecimal. A list is of rows. */
function leastBytes(statement: string, parameters: readonly unknown[] = [], prepared: boolean): number {
  let bytes = statement.length;
  for (const value of parameters) {
    if (typeof value === 'string') bytes += value.length;
    else if (Array.isArray(value)) bytes += leastBytes('', value, prepared);
    else if (value instanceof Uint8Array) bytes += value.length * (prepared ? 1 : 2);
  }
  return bytes;
}

/** The server's own text: the server then closes the connection, usually before this side can read its error. */
function tooLarge(bytes: number, limit: number): QueryError {
  const message = `a statement has ${bytes} bytes, and the server's max_allowed_packet is ${limit}`;
  return Object.assign(new Error(message), { code: 'ER_NET_PACKET_TOO_LARGE' }) as QueryError;
}
