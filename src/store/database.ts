/** The connection pool to SQL: opened lazily, one class for MySQL, MariaDB, PostgreSQL and the embedded PGlite. */

import type { Kysely } from "kysely";

import type { SqlDialect } from "./dialect.js";
import type { Schema } from "./schema.js";

export interface DatabaseOptions {
  /** `mysql://`, `mariadb://`, `postgresql://` or `postgres://` host:port/name; `pglite:memory` or `pglite:/directory`. */
  readonly url: string;
  /** In place of the one in `url`. */
  readonly user?: string;
  /** In place of the one in `url`. */
  readonly password?: string;
  readonly maxPoolSize: number;
  /** Bound of opening a connection, and of waiting for a free one, in ms. */
  readonly connectionTimeoutMs: number;
  /** Bound of one statement, in ms. */
  readonly queryTimeoutMs: number;
  /** PEM texts; absent: no TLS. */
  readonly ssl?: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    /** Default true. */
    readonly rejectUnauthorized?: boolean;
  };
}

/** Connections of the pool, for metrics. */
export interface PoolNumbers {
  /** Open connections. */
  readonly size: number;
  readonly idle: number;
  /** Callers that wait for one. */
  readonly waiting: number;
}

export interface Database {
  readonly engine: "mysql" | "postgresql";
  /** For src/store alone. */
  readonly db: Kysely<Schema>;
  /** For src/store alone. */
  readonly dialect: SqlDialect;
  /** @throws GatewayError dependency-unavailable, in one sentence with host, port and reason */
  ping(signal: AbortSignal): Promise<void>;
  pool(): PoolNumbers;
  /** Ends every connection; calling it again gives the same promise. */
  close(): Promise<void>;
}

/** @throws GatewayError configuration, when the URL cannot be used */
export function openDatabase(options: DatabaseOptions): Database {
  throw new Error(`not yet: ${options.maxPoolSize}`);
}
