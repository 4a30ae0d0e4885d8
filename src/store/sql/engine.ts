/** What an engine gives to the database: a Kysely dialect whose driver is loaded at the first query. */

import type { Dialect } from 'kysely';

import type { DatabaseOptions } from './database-options.js';

export interface Engine {
  readonly kysely: Dialect;
  /** Open and idle connections. */
  numbers(): { readonly size: number; readonly idle: number };
  /** Bytes of one statement that the server takes, as the last connection learned; Infinity: no bound that matters. */
  readonly packetBytes: () => number;
  /** Why it takes no changes, of an engine whose heartbeats would go on; undefined: it does. */
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

/** How long a statement waits for a row that another transaction holds, in ms: then it is tried again from the start. */
export function lockTimeoutMs(options: ServerOptions): number {
  return Math.max(1_000, Math.round(options.queryTimeoutMs / 2));
}
