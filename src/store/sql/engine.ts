/** An engine of the database: a Kysely dialect whose driver is loaded at the first query. */

import type { Dialect } from 'kysely';

import type { DatabaseOptions } from './database-options.js';

export interface Engine {
  readonly kysely: Dialect;
  /** Open and idle connections. */
  numbers(): { readonly size: number; readonly idle: number };
  /**
   * The largest statement that the server accepts, in bytes, as the last connection learned; Infinity: no relevant
   * limit.
   */
  readonly packetBytes: () => number;
  /** Why the engine accepts no changes although heartbeats would still succeed; undefined: it accepts changes. */
  readonly lack?: () => string | undefined;
}

export interface ServerTarget {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
}

export type ServerOptions = Pick<DatabaseOptions, 'maxPoolSize' | 'connectionTimeoutMs' | 'queryTimeoutMs' | 'ssl'>;

/** Time without use after which a connection of the pool is closed, in ms. */
export const idleTimeoutMs = 60_000;

/** How long a statement waits for a row that another transaction holds, in ms: then the transaction is repeated. */
export function lockTimeoutMs(options: ServerOptions): number {
  return Math.max(1_000, Math.round(options.queryTimeoutMs / 2));
}
