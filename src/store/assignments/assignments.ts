/** kubesvc_assignments: the connections that serve each account. The truth about ownership, fenced by epochs. */

import type { Kysely } from 'kysely';

import { GatewayError } from '../../core/errors.js';
import type { AccountRegistration } from '../accounts/account-record.js';
import { deleteEndedHolds, selectEndedHolds } from '../accounts/hold-statements.js';
import { agentConnections, type ConnectedAgent } from './agent-connections.js';
import { selectAssignedAccounts } from './assignment-statements.js';
import { batches, batchSize } from '../../core/batches.js';
import { claimAccounts, type ClaimOutcome, type ClaimRequest } from './claim.js';
import type { Database } from '../sql/database.js';
import { electAfterHolds, electWherePossible } from './election.js';
import type { Connection, Ownership } from './ownership.js';
import { selectOwnershipPage, selectOwnerships } from './ownership-statements.js';
import { inNameOrder, packed, transactionAccounts } from './packing.js';
import { releaseConnections, releaseOfInstance, type ReleaseContext, type ReleaseRequest } from './release.js';
import type { Schema } from '../sql/schema.js';

export type { ConnectedAgent } from './agent-connections.js';

export interface AssignmentStoreOptions {
  /** An instance is alive while its last heartbeat is younger, in ms. */
  readonly leaseMs: number;
}

export class AssignmentStore {
  readonly #database: Database;
  readonly #leaseMs: number;

  constructor(database: Database, { leaseMs }: AssignmentStoreOptions) {
    this.#database = database;
    this.#leaseMs = leaseMs;
  }

  /**
   * Takes `count` numbers from the cluster's counter.
   * @returns the first of them; the others follow it
   */
  async nextEpoch(count = 1, signal?: AbortSignal): Promise<number> {
    const { dialect } = this.#database;
    const last = await this.#database.run((db) => dialect.addToCounter(db, 'epoch', count), signal);
    if (last === undefined)
      throw new Error('the epoch counter is missing: the database is not migrated; run agent-gateway migrate');
    return last - count + 1;
  }

  /**
   * Assigns the accounts to the connection.
   * @returns as claimAll()
   * @throws GatewayError `permission-denied` naming the accounts of its own that are bound to another principal
   */
  async claim(
    connection: Connection,
    accounts: readonly AccountRegistration[],
    signal: AbortSignal,
  ): Promise<readonly Ownership[]> {
    const [outcome = []] = await this.claimAll([{ connection, accounts }], signal);
    if (outcome instanceof GatewayError) throw outcome;
    return outcome;
  }

  /**
   * Assigns accounts to connections, in transactions of 1,000 accounts. An account whose agent already has a newer
   * connection is left untouched: a late claim of an old connection changes nothing. If a request has a principal,
   * accounts that have none are bound to it.
   * @returns one outcome per request: every account as it is now, in name order, except dynamic ones that no agent of
   *   the zone should serve, or that are bound to another principal; or a `permission-denied` that names accounts of the
   *   request that are bound to another principal: then the request claims nothing in their transaction
   */
  async claimAll(requests: readonly ClaimRequest[], signal: AbortSignal): Promise<readonly ClaimOutcome[]> {
    const outcomes = requests.map((): Ownership[] | GatewayError => []);
    for (const parts of packed(requests.map(inNameOrder))) {
      const claimed = await this.#database.transaction(
        (trx) =>
          claimAccounts(
            trx,
            this.#database.dialect,
            parts.map(({ request }) => request),
          ),
        signal,
      );
      parts.forEach(({ index }, position) => {
        const outcome = claimed[position] ?? [];
        const before = outcomes[index] ?? [];
        if (outcome instanceof GatewayError) outcomes[index] = outcome;
        else if (!(before instanceof GatewayError)) before.push(...outcome);
      });
    }
    return outcomes;
  }

  /**
   * Releases what exactly this connection owns; another assignment takes over the caching.
   * @param cachingGraceMs as ReleaseRequest's
   * @returns the accounts that changed
   */
  async release(
    connection: Connection,
    accounts: readonly string[] | 'all',
    signal: AbortSignal,
    cachingGraceMs = 0,
  ): Promise<readonly Ownership[]> {
    if (accounts !== 'all') return this.releaseAll([{ connection, accounts, cachingGraceMs }], signal);
    const { instanceId, agentId, epoch } = connection;
    return this.#ofEachPage({ instanceId, agentId, epoch }, Number.POSITIVE_INFINITY, signal, (context, names) =>
      releaseConnections(context, [{ connection, accounts: names, cachingGraceMs }]),
    );
  }

  /**
   * Releases what exactly these connections own, in transactions of 1,000 accounts. Other assignments take over the
   * caching once the caching agents have certainly stopped. Until then no other agent caches, unless the same agent
   * comes back; after that electCachers() chooses one, or the next agent that registers caches.
   * @returns the accounts that changed
   */
  async releaseAll(requests: readonly ReleaseRequest[], signal: AbortSignal): Promise<readonly Ownership[]> {
    const result: Ownership[] = [];
    for (const parts of packed(requests)) {
      const changed = await this.#database.transaction(
        (trx, attempt) =>
          releaseConnections(
            this.#releaseContext(trx, attempt),
            parts.map(({ request }) => request),
          ),
        signal,
      );
      result.push(...changed);
    }
    return result;
  }

  /**
   * Removes assignments of a dead instance, `limit` accounts at most; an instance that is alive again
   * keeps its own. Call it until the answer is empty.
   * @param cachingGraceMs how long agents of the instance may go on caching, in ms
   * @returns the accounts that changed
   */
  releaseInstance(
    instanceId: string,
    limit: number,
    signal: AbortSignal,
    cachingGraceMs = 0,
  ): Promise<readonly Ownership[]> {
    return this.#ofEachPage({ instanceId }, limit, signal, (context, names) =>
      releaseOfInstance(context, instanceId, names, cachingGraceMs),
    );
  }

  /**
   * Chooses caching agents for accounts whose hold, set by release(), has expired; `limit` at most, and 500 at
   * most. Several instances may call it at the same time; accounts are returned again until one calls electionTold().
   * @returns the accounts as they are now
   */
  async electCachers(limit: number, signal: AbortSignal): Promise<readonly Ownership[]> {
    const { dialect } = this.#database;
    const size = Math.min(limit, batchSize);
    const names = await this.#database.run((db) => selectEndedHolds(db, dialect, size), signal);
    return names.length === 0
      ? []
      : this.#database.transaction((trx) => electAfterHolds(trx, dialect, this.#leaseMs, names), signal);
  }

  /** The agents concerned know the choice of electCachers(). */
  async electionTold(accounts: readonly string[], signal: AbortSignal): Promise<void> {
    if (accounts.length === 0) return;
    await this.#database.run((db) => deleteEndedHolds(db, this.#database.dialect, accounts), signal);
  }

  /**
   * Lets one agent of each account cache it, if it has one and no agent that is gone may still be caching.
   * @returns the accounts as they are now, in name order; accounts that were never registered are absent
   */
  async ensureCaching(accounts: readonly string[], signal: AbortSignal): Promise<readonly Ownership[]> {
    const { dialect } = this.#database;
    const result: Ownership[] = [];
    for (const batch of batches([...new Set(accounts)].toSorted())) {
      const now = await this.#database.transaction(
        (trx) => electWherePossible(trx, dialect, this.#leaseMs, batch),
        signal,
      );
      result.push(...now);
    }
    return result;
  }

  /** Accounts that were never registered are absent; those without an agent have an empty list. */
  async find(accounts: readonly string[], signal?: AbortSignal): Promise<Map<string, Ownership>> {
    if (accounts.length === 0) return new Map();
    const found = await this.#database.run((db) => selectOwnerships(db, [...new Set(accounts)]), signal);
    return new Map(found.map((ownership) => [ownership.account, ownership]));
  }

  /** The `limit` accounts after `afterAccount` ('' for the first) in name order. */
  page(afterAccount: string, limit: number, signal?: AbortSignal): Promise<readonly Ownership[]> {
    return this.#database.run((db) => selectOwnershipPage(db, afterAccount, limit), signal);
  }

  /** The `limit` accounts after `afterAccount` that the instance owns, in name order. */
  ofInstance(
    instanceId: string,
    afterAccount: string,
    limit: number,
    signal?: AbortSignal,
  ): Promise<readonly Ownership[]> {
    return this.#database.run(async (db) => {
      const names = await selectAssignedAccounts(db, { instanceId }, afterAccount, limit);
      return selectOwnerships(db, names);
    }, signal);
  }

  /** Agents at live instances in the order of their ids, read in pages while they are iterated. */
  list(filter: { readonly agentId?: string }, signal: AbortSignal): AsyncGenerator<ConnectedAgent> {
    return agentConnections(this.#database, this.#leaseMs, filter.agentId, signal);
  }

  /** Releases the assignments that match `filter`, page by page in name order. */
  async #ofEachPage(
    filter: Partial<Connection>,
    limit: number,
    signal: AbortSignal,
    release: (context: ReleaseContext, names: readonly string[]) => Promise<readonly Ownership[]>,
  ): Promise<readonly Ownership[]> {
    const result: Ownership[] = [];
    let after = '';
    for (let left = limit; left > 0;) {
      const size = Math.min(left, transactionAccounts);
      const names = await this.#database.run((db) => selectAssignedAccounts(db, filter, after, size), signal);
      if (names.length > 0) {
        const changed = await this.#database.transaction(
          (trx, attempt) => release(this.#releaseContext(trx, attempt), names),
          signal,
        );
        result.push(...changed);
      }
      if (names.length < size) break;
      after = names.at(-1) ?? after;
      left -= size;
    }
    return result;
  }

  #releaseContext(db: Kysely<Schema>, attempt: number): ReleaseContext {
    return { db, dialect: this.#database.dialect, leaseMs: this.#leaseMs, repeated: attempt > 0 };
  }
}
