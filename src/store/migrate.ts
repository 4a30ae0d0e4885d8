/** Brings the schema up to date, under a lock that one replica at a time holds. */
import type { Logger } from "../core/logger.js";
import type { Database } from "./database.js";

export interface MigrateOptions {
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** How long to wait for another replica that migrates, in ms; default 60,000. */
  readonly lockTimeoutMs?: number;
}

/**
 * Applies what is missing; safe when many replicas start at once; adopts tables that Armory's plugin made.
 * @returns the names of the migrations that this call applied
 * @throws GatewayError configuration, naming table, column and what to do, when the tables cannot be adopted or
 *   a newer version of the gateway changed them in a way that this one does not understand
 * @throws GatewayError dependency-unavailable
 */
export async function migrate(
  database: Database,
  options: MigrateOptions,
): Promise<readonly string[]> {
  await Promise.reject(
    new Error(`not yet: ${database.engine} ${String(options.lockTimeoutMs)}`),
  );
  return [];
}
