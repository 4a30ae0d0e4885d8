/** Settings and state of the mirror. */

import { defaultBackoff, type Backoff } from '../../core/retry.js';

export interface MirrorSettings {
  /** Start of all keys; one per gateway cluster. */
  readonly prefix: string;
  /** How often the mirror checks for a subscription that has died silently, in ms. */
  readonly checkIntervalMs: number;
  /** Deadline of a small command or a write, in ms. */
  readonly commandTimeoutMs: number;
  /** Deadline of a page from Redis or SQL, in ms. */
  readonly pageTimeoutMs: number;
  /** How long start() waits to be live, in ms. */
  readonly startTimeoutMs: number;
  /** How often one replica compares Redis with SQL, in ms. */
  readonly reconcileIntervalMs: number;
  /** Time after which another replica takes over the rebuild of one that died, in ms. */
  readonly lockMs: number;
  /** Changes (accounts) kept while Redis does not accept them; beyond this number Redis is rebuilt. */
  readonly outboxAccounts: number;
  /** Accounts in one page from Redis. */
  readonly pageAccounts: number;
  /** Time over which the reloads that one event causes in all replicas are spread, in ms. */
  readonly reloadSpreadMs: number;
  readonly backoff: Backoff;
}

export const defaultMirrorSettings: MirrorSettings = {
  prefix: 'agent-gateway',
  checkIntervalMs: 2_000,
  commandTimeoutMs: 500,
  pageTimeoutMs: 5_000,
  startTimeoutMs: 3_000,
  reconcileIntervalMs: 300_000,
  lockMs: 30_000,
  outboxAccounts: 100_000,
  pageAccounts: 1_000,
  reloadSpreadMs: 500,
  backoff: defaultBackoff,
};

export interface MirrorState {
  /** live: changes arrive and none is known to be missing. degraded: the map may be behind; SQL is asked more often. */
  readonly name: 'live' | 'loading' | 'degraded';
  /** By performance.now(). */
  readonly since: number;
  readonly reason?: string;
}

export interface MirrorStatistics {
  readonly messages: number;
  /** Messages that could not be read. */
  readonly malformed: number;
  readonly gaps: number;
  /** Subscriptions found dead though connected. */
  readonly silences: number;
  readonly reloads: number;
  readonly rebuilds: number;
  readonly reconciliations: number;
  /** How often changes were dropped because Redis did not accept them. */
  readonly overflows: number;
  /** Changes (accounts) that wait for Redis. */
  readonly pending: number;
  /** Time since Redis last answered or sent something, in ms; undefined: never. */
  readonly contactAgeMs: number | undefined;
}
