/** kubesvc_accounts: what agents registered, and accounts made by the API. */
import type { Database } from "./database.js";

export type AccountStatus =
  | "INACTIVE"
  | "TO_MIGRATE"
  | "ACTIVATING"
  | "ACTIVE"
  | "TO_DEACTIVATE"
  | "DEACTIVATING"
  | "DELETING"
  | "DELETE_FAILED"
  | "FAILED"
  | "ORPHANED";

/** A row of kubesvc_accounts; times in ms UTC. */
export interface AccountRecord {
  readonly name: string;
  readonly status: AccountStatus;
  readonly zoneId: string;
  readonly dynamic: boolean;
  /** Agents that serve it now. */
  readonly connections: number;
  readonly kubeHost: string;
  readonly kubeVersion: string;
  readonly certFingerprint: string;
  readonly maxWatchAgeSeconds: number;
  readonly namespaces: readonly string[];
  readonly properties: Readonly<Record<string, string>>;
  /** What the API was given, as JSON text; may hold secrets: never answer or log it. */
  readonly definition?: string;
  readonly errorMessage?: string;
  readonly failedCount: number;
  readonly lastUpdated: number;
}

const notYet = (...given: unknown[]): Promise<never> =>
  Promise.reject(new Error(`not yet ${given.length}`));

export class AccountStore {
  readonly #given: readonly unknown[];
  constructor(database: Database) {
    this.#given = [database];
  }

  find(name: string, signal?: AbortSignal): Promise<AccountRecord | undefined> {
    return notYet(this.#given, name, signal);
  }

  /** Those of `names` that were registered once. */
  known(names: readonly string[], signal?: AbortSignal): Promise<Set<string>> {
    return notYet(this.#given, names, signal);
  }

  /** `limit` accounts after the name `after` ('' for the first), in name order. */
  list(
    after: string,
    limit: number,
    signal?: AbortSignal,
  ): Promise<readonly AccountRecord[]> {
    return notYet(this.#given, after, limit, signal);
  }

  /**
   * Removes accounts of agents (not dynamic ones) that no agent has served for `olderThanMs`.
   * @returns their names
   */
  removeWithoutAgents(
    olderThanMs: number,
    limit: number,
    signal?: AbortSignal,
  ): Promise<readonly string[]> {
    return notYet(this.#given, olderThanMs, limit, signal);
  }
}
