/** Times on the database's clock, in ms UTC, so that the clocks of replicas do not matter. Indexes can be searched with them. */

import { sql, type RawBuilder } from 'kysely';

import type { SqlDialect } from './dialect.js';

export function msAgo({ nowMs }: SqlDialect, ms: number): RawBuilder<number> {
  return sql<number>`${nowMs} - ${sql.lit(ms)}`;
}

export function msFromNow({ nowMs }: SqlDialect, ms: number): RawBuilder<number> {
  return sql<number>`${nowMs} + ${sql.lit(ms)}`;
}
