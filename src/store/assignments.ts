/** kubesvc_assignments: who can reach an account. The truth about ownership, fenced by epochs. */
import type { Database } from "./database.js";
import type {
  AccountRegistration,
  Connection,
  Ownership,
} from "./ownership.js";

export interface AssignmentStoreOptions {
  /** An instance is alive while its last heartbeat is younger, in ms. */
  readonly leaseMs: number;
}

/** An agent as `GET /armory/agents` shows it: its accounts at one instance. */
export interface AgentConnection {
  readonly agentId: string;
  readonly instanceId: string;
  readonly accounts: readonly string[];
  /** Whether it caches one of them at least. */
  readonly caching: boolean;
  /** When it connected, in ms UTC. */
  readonly lastConnectionTime: number;
}

const notYet = (...given: unknown[]): Promise<never> =>
  Promise.reject(new Error(`not yet ${given.length}`));

export class AssignmentStore {
  readonly #given: readonly unknown[];
  constructor(database: Database, options: AssignmentStoreOptions) {
    this.#given = [database, options];
  }

  /**
   * Takes `count` numbers from the cluster's counter.
   * @returns the first of them; the others follow it
   */
  nextEpoch(count = 1, signal?: AbortSignal): Promise<number> {
    return notYet(this.#given, count, signal);
  }

  /**
   * Makes the connection an owner of the accounts. An account whose agent has a newer connection already is left
   * untouched: a late claim of an old connection changes nothing.
   * @returns every account as it is now, in name order
   */
  claim(
    connection: Connection,
    accounts: readonly AccountRegistration[],
    signal: AbortSignal,
  ): Promise<readonly Ownership[]> {
    return notYet(this.#given, connection, accounts, signal);
  }

  /**
   * Gives up what exactly this connection owns; another assignment takes over the caching.
   * @returns the accounts that changed
   */
  release(
    connection: Connection,
    accounts: readonly string[] | "all",
    signal: AbortSignal,
  ): Promise<readonly Ownership[]> {
    return notYet(this.#given, connection, accounts, signal);
  }

  /**
   * Removes assignments of an instance that is not alive, `limit` accounts at most; an instance that is alive by now
   * keeps its own. Call it until the answer is empty.
   * @returns the accounts that changed
   */
  releaseInstance(
    instanceId: string,
    limit: number,
    signal: AbortSignal,
  ): Promise<readonly Ownership[]> {
    return notYet(this.#given, instanceId, limit, signal);
  }

  /** Accounts that nobody ever registered are absent; those without an agent have an empty list. */
  find(
    accounts: readonly string[],
    signal?: AbortSignal,
  ): Promise<Map<string, Ownership>> {
    return notYet(this.#given, accounts, signal);
  }

  /** The `limit` accounts after `afterAccount` ('' for the first) in name order. */
  page(
    afterAccount: string,
    limit: number,
    signal?: AbortSignal,
  ): Promise<readonly Ownership[]> {
    return notYet(this.#given, afterAccount, limit, signal);
  }

  /** What the instance owns, `limit` accounts after `afterAccount`, in name order. */
  ofInstance(
    instanceId: string,
    afterAccount: string,
    limit: number,
    signal?: AbortSignal,
  ): Promise<readonly Ownership[]> {
    return notYet(this.#given, instanceId, afterAccount, limit, signal);
  }

  /** Agents at live instances in the order of their ids, read in pages while they are iterated. */
  async *list(
    filter: { readonly agentId?: string },
    signal: AbortSignal,
  ): AsyncGenerator<AgentConnection> {
    yield await notYet(this.#given, filter, signal);
  }
}
