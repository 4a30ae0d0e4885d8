/** PostgreSQL through pg. */

import type { Pool, PoolClient } from 'pg';
import { PostgresDialect, type PostgresPool, type PostgresPoolClient, type PostgresQueryResult } from 'kysely';

import { idleTimeoutMs, lockTimeoutMs, type Engine, type ServerOptions, type ServerTarget } from './engine.js';
import { typeParsers } from './engine-pglite.js';
import { isReadOnly } from './sql-error.js';

/** The server ends a statement at its timeout; the client only waits longer for a server that is gone. */
const clientGraceMs = 1_000;

export function postgresEngine(target: ServerTarget, options: ServerOptions): Engine {
  let pool: Pool | undefined;
  const open = async (): Promise<PostgresPool> => {
    const pg = (await import('pg')).default;
    // Its types include only the built-in oids.
    const builtIn = pg.types.getTypeParser as (oid: number, format?: 'text' | 'binary') => unknown;
    const parserOf = (oid: number, format?: 'text' | 'binary'): unknown => typeParsers[oid] ?? builtIn(oid, format);
    pool = new pg.Pool({
      host: target.host,
      port: target.port,
      database: target.database,
      user: target.user,
      password: target.password,
      application_name: 'agent-gateway',
      max: options.maxPoolSize,
      connectionTimeoutMillis: options.connectionTimeoutMs,
      idleTimeoutMillis: idleTimeoutMs,
      query_timeout: options.queryTimeoutMs + clientGraceMs,
      keepAlive: true,
      types: { getTypeParser: parserOf as typeof pg.types.getTypeParser },
      // Not as startup parameters, which PgBouncer refuses.
      onConnect: async (client: { query(statement: string): Promise<unknown> }) => {
        await client.query(
          `set statement_timeout = ${options.queryTimeoutMs}; set lock_timeout = ${lockTimeoutMs(options)}; ` +
            `set default_transaction_isolation = 'read committed'; set standard_conforming_strings = on`,
        );
      },
      ...(options.ssl === undefined ? {} : { ssl: { rejectUnauthorized: true, ...options.ssl } }),
    } as ConstructorParameters<typeof pg.Pool>[0]);
    // A connection that breaks while idle leaves the pool by itself; without a listener the error would end the
    // process.
    pool.on('error', () => undefined);
    return withDiscard(pool);
  };
  return {
    kysely: new PostgresDialect({ pool: open }),
    numbers: () => ({ size: pool?.totalCount ?? 0, idle: pool?.idleCount ?? 0 }),
    packetBytes: () => Number.POSITIVE_INFINITY,
  };
}

/**
 * The pool as Kysely uses it: a connection that broke, timed out or leads to a replica takes no more statements and is
 * closed.
 */
function withDiscard(pool: Pool): PostgresPool {
  // Kysely recognises a connection by object identity.
  const known = new WeakMap<PoolClient, PostgresPoolClient>();
  const discarding = (client: PoolClient): PostgresPoolClient => {
    let broken: Error | undefined;
    // The pool listens only while the connection is idle. While it is lent, between two statements, nobody would: an
    // error without a listener would end the process.
    client.on('error', (error) => {
      broken ??= error;
    });
    const query = async <R>(statement: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>> => {
      if (broken !== undefined) throw broken;
      try {
        return (await client.query(statement, [...parameters])) as unknown as PostgresQueryResult<R>;
      } catch (error) {
        if (error instanceof Error && (error.message === 'Query read timeout' || isReadOnly(error))) broken = error;
        throw error;
      }
    };
    return {
      query: query as PostgresPoolClient['query'],
      release: (destroy) => client.release(destroy === true || broken !== undefined),
    };
  };
  return {
    options: {},
    connect: async () => {
      const client = await pool.connect();
      const facade = known.get(client) ?? discarding(client);
      known.set(client, facade);
      return facade;
    },
    end: () => pool.end(),
  };
}
