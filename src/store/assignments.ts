/** kubesvc_assignments: who can reach an account. The truth about ownership, fenced by epochs. */

import type { Kysely } from 'kysely';

import { GatewayError } from '../core/errors.js';
import { agentConnections, type AgentConnection } from './agent-connections.js';
import { isServable, nextStatus, type AccountStatus } from './account-lifecycle.js';
import { afterClaim, planClaim, planElection, planRelease, type AssignmentRow } from './assignment-rules.js';
import {
  bumpAccounts,
  deleteAssignments,
  deleteEndedHolds,
  deleteHolds,
  forgetFailures,
  holdCaching,
  insertAssignments,
  insertMissingAccounts,
  lockAccounts,
  orphanAccounts,
  replaceAssignments,
  selectAssignedAccounts,
  selectAssignments,
  selectEndedHolds,
  selectLiveInstances,
  selectOwnershipPage,
  selectOwnerships,
  startCaching,
  updateAccounts,
  type AccountUpdate,
  type LockedAccount,
} from './assignment-statements.js';
import { batches, batchSize } from './batches.js';
import type { Database } from './database.js';
import { bind } from './owners.js';
import type { AccountRegistration, Connection, Ownership } from './ownership.js';
import type { Schema } from './schema.js';
import { conflict } from './sql-error.js';

export type { AgentConnection } from './agent-connections.js';

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
    if (last === undefined) throw new Error('the counter of epochs is missing: the database was not migrated');
    return last - count + 1;
  }

  /**
   * Makes the connection an owner of the accounts, in transactions of 500. An account whose agent has a newer
   * connection already is left untouched: a late claim of an old connection changes nothing.
   * With an owner, accounts that are nobody's become his.
   * @returns every account as it is now, in name order, but for dynamic ones that no agent of the zone is to serve, or
   *   that are somebody else's
   * @throws GatewayError `permission-denied` naming the accounts of its own that are somebody else's; nothing of the
   *   transaction that they are in is claimed
   */
  async claim(
    connection: Connection,
    accounts: readonly AccountRegistration[],
    signal: AbortSignal,
  ): Promise<readonly Ownership[]> {
    const byName = new Map(accounts.map((account) => [account.name, account]));
    const sorted = [...byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const result: Ownership[] = [];
    for (const batch of batches(sorted)) {
      result.push(...(await this.#database.transaction((trx) => this.#claim(trx, connection, batch), signal)));
    }
    return result;
  }

  /**
   * Gives up what exactly this connection owns; another assignment takes over the caching.
   * @param cachesForMs how long its agent may go on caching, as far as is known, in ms: until then nobody else caches
   *   what it cached, unless the agent is back; after that electCachers() chooses, or the next to come caches
   * @returns the accounts that changed
   */
  async release(
    connection: Connection,
    accounts: readonly string[] | 'all',
    signal: AbortSignal,
    cachesForMs = 0,
  ): Promise<readonly Ownership[]> {
    const { instanceId, agentId, epoch } = connection;
    const owned = { instanceId, agentId, epoch, cachesForMs };
    const lists = accounts === 'all' ? [undefined] : [...batches([...new Set(accounts)])];
    const result: Ownership[] = [];
    for (const list of lists) {
      const filter = list === undefined ? owned : { ...owned, accounts: list };
      result.push(...(await this.#releaseWhere(filter, Number.POSITIVE_INFINITY, signal)));
    }
    return result;
  }

  /**
   * Removes assignments of an instance that is not alive, `limit` accounts at most; an instance that is alive by now
   * keeps its own. Call it until the answer is empty.
   * @returns the accounts that changed
   */
  releaseInstance(instanceId: string, limit: number, signal: AbortSignal): Promise<readonly Ownership[]> {
    return this.#releaseWhere({ instanceId }, limit, signal);
  }

  /**
   * Chooses who caches the accounts that release() left to nobody for a time that is over, `limit` at most, and 500 at
   * most. Any instance may call it, at the same time as others; until one says electionTold(), accounts come again.
   * @returns the accounts as they are now
   */
  async electCachers(limit: number, signal: AbortSignal): Promise<readonly Ownership[]> {
    const { dialect } = this.#database;
    const size = Math.min(limit, batchSize);
    const names = await this.#database.run((db) => selectEndedHolds(db, dialect, size), signal);
    return names.length === 0 ? [] : this.#database.transaction((trx) => this.#elect(trx, names), signal);
  }

  /** What electCachers() chose is known to whom it concerns. */
  async electionTold(accounts: readonly string[], signal: AbortSignal): Promise<void> {
    if (accounts.length === 0) return;
    await this.#database.run((db) => deleteEndedHolds(db, this.#database.dialect, accounts), signal);
  }

  /**
   * Has each account cached by one of its agents, if it has one and none may still be caching that is gone.
   * @returns the accounts as they are now, in name order; those that nobody ever registered are absent
   */
  async ensureCaching(accounts: readonly string[], signal: AbortSignal): Promise<readonly Ownership[]> {
    const { dialect } = this.#database;
    const result: Ownership[] = [];
    for (const batch of batches([...new Set(accounts)].toSorted())) {
      const now = await this.#database.transaction(
        async (trx) => this.#promote(trx, await lockAccounts(trx, dialect, batch)),
        signal,
      );
      result.push(...now);
    }
    return result;
  }

  /** Accounts that nobody ever registered are absent; those without an agent have an empty list. */
  async find(accounts: readonly string[], signal?: AbortSignal): Promise<Map<string, Ownership>> {
    if (accounts.length === 0) return new Map();
    const found = await this.#database.run((db) => selectOwnerships(db, [...new Set(accounts)]), signal);
    return new Map(found.map((ownership) => [ownership.account, ownership]));
  }

  /** The `limit` accounts after `afterAccount` ('' for the first) in name order. */
  page(afterAccount: string, limit: number, signal?: AbortSignal): Promise<readonly Ownership[]> {
    return this.#database.run((db) => selectOwnershipPage(db, afterAccount, limit), signal);
  }

  /** What the instance owns, `limit` accounts after `afterAccount`, in name order. */
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
  list(filter: { readonly agentId?: string }, signal: AbortSignal): AsyncGenerator<AgentConnection> {
    return agentConnections(this.#database, this.#leaseMs, filter.agentId, signal);
  }

  async #claim(
    db: Kysely<Schema>,
    connection: Connection,
    accounts: readonly AccountRegistration[],
  ): Promise<Ownership[]> {
    const { dialect } = this.#database;
    const names = accounts.map((account) => account.name);
    await insertMissingAccounts(db, dialect, connection, accounts.filter(isOwn));
    const locked = new Map((await lockAccounts(db, dialect, names)).map((account) => [account.name, account]));
    const assignments = await selectAssignments(db, names);
    const foreign = await this.#bind(db, connection, accounts, locked);

    const inserts: { account: string; caching: boolean }[] = [];
    const replaced = { caching: [] as number[], idle: [] as number[] };
    const updates: AccountUpdate[] = [];
    const taken: string[] = [];
    const served: string[] = [];
    const result: Ownership[] = [];
    for (const account of accounts) {
      const row = locked.get(account.name);
      if (!isOwn(account) && (!isToServe(row, connection.zoneId) || foreign.has(account.name))) continue;
      // Removed between the two statements, for want of agents.
      if (row === undefined) throw conflict(`account ${account.name} was removed`);
      const rows = assignments.get(account.name) ?? [];
      const plan = planClaim(connection, rows, row.heldBy);
      const after = afterClaim(connection, rows, plan);
      if (plan.kind === 'insert') inserts.push({ account: account.name, caching: plan.caching });
      if (plan.kind === 'replace') replaced[plan.caching ? 'caching' : 'idle'].push(plan.id);
      if (row.hold && 'caching' in plan && plan.caching) taken.push(account.name);
      const version = plan.kind === 'insert' || plan.kind === 'replace' ? row.version + 1 : row.version;
      if (plan.kind !== 'late') {
        const zoneId = row.dynamic && row.zoneId !== '' ? row.zoneId : connection.zoneId;
        updates.push({ account, status: statusAfterClaim(row, account), zoneId, connections: after.length, version });
        if (row.dynamic && !isOwn(account) && statusOf(row) !== 'ACTIVE') served.push(account.name);
      }
      result.push({ account: account.name, version, assignments: after });
    }

    await insertAssignments(db, dialect, connection, inserts);
    await replaceAssignments(db, dialect, connection, replaced.caching, true);
    await replaceAssignments(db, dialect, connection, replaced.idle, false);
    await updateAccounts(db, dialect, connection, updates);
    await deleteHolds(db, taken);
    await forgetFailures(db, served);
    return result;
  }

  /** Gives accounts that are nobody's to the connection's owner. @returns dynamic ones that are somebody else's */
  async #bind(
    db: Kysely<Schema>,
    { owner, zoneId }: Connection,
    accounts: readonly AccountRegistration[],
    locked: ReadonlyMap<string, LockedAccount>,
  ): Promise<ReadonlySet<string>> {
    if (owner === undefined) return new Set();
    const wanted = accounts.filter((account) => isOwn(account) || isToServe(locked.get(account.name), zoneId));
    if (wanted.length === 0) return new Set();
    const names = wanted.map(({ name }) => name);
    const foreign = await bind(db, this.#database.dialect, 'account', names, owner);
    const refused = wanted.filter((account) => isOwn(account) && foreign.has(account.name)).map(({ name }) => name);
    if (refused.length > 0) throw foreignAccountsError(refused, owner);
    return foreign;
  }

  async #releaseWhere(filter: ReleaseFilter, limit: number, signal: AbortSignal): Promise<readonly Ownership[]> {
    const result: Ownership[] = [];
    let after = '';
    for (let left = limit; left > 0;) {
      const size = Math.min(left, batchSize);
      const names = await this.#database.run((db) => selectAssignedAccounts(db, filter, after, size), signal);
      if (names.length > 0) {
        const changed = await this.#database.transaction(
          (trx, attempt) => this.#release(trx, filter, names, attempt),
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

  async #release(
    db: Kysely<Schema>,
    filter: ReleaseFilter,
    names: readonly string[],
    attempt: number,
  ): Promise<Ownership[]> {
    const { dialect } = this.#database;
    const locked = await lockAccounts(db, dialect, names);
    const alive = await selectLiveInstances(db, dialect, this.#leaseMs);
    // Looked at after locking: an instance that came back says so before it claims again, so its new rows are safe.
    if (filter.epoch === undefined && alive.has(filter.instanceId)) return [];
    const assignments = await selectAssignments(db, names);
    const released = (row: AssignmentRow): boolean =>
      row.instanceId === filter.instanceId &&
      (filter.agentId === undefined || row.agentId === filter.agentId) &&
      (filter.epoch === undefined || row.epoch === filter.epoch);

    const result: Ownership[] = [];
    const changed: string[] = [];
    const removed: number[] = [];
    const promoted: number[] = [];
    const held: string[] = [];
    const { agentId = '', cachesForMs = 0 } = filter;
    const orphaned: string[] = [];
    for (const row of locked) {
      const { name, version, heldBy } = row;
      const plan = planRelease(assignments.get(name) ?? [], {
        released,
        alive: (instanceId) => alive.has(instanceId),
        stopped: cachesForMs <= 0,
        heldBy,
      });
      removed.push(...plan.removed);
      if (plan.held) held.push(name);
      if (plan.promoted !== undefined) promoted.push(plan.promoted);
      if (plan.removed.length > 0) {
        if (row.dynamic && plan.remaining.length === 0 && nextStatus(statusOf(row), 'abandoned') !== undefined)
          orphaned.push(name);
        changed.push(name);
        result.push({ account: name, version: version + 1, assignments: plan.remaining });
      } else if (attempt > 0) {
        // The attempt before may have been committed without our hearing of it.
        result.push({ account: name, version, assignments: plan.remaining });
      }
    }

    await deleteAssignments(db, removed);
    await startCaching(db, promoted);
    await holdCaching(db, dialect, held, agentId, cachesForMs);
    await bumpAccounts(db, dialect, changed);
    await orphanAccounts(db, orphaned);
    return result;
  }

  async #elect(db: Kysely<Schema>, names: readonly string[]): Promise<Ownership[]> {
    const { dialect } = this.#database;
    const locked = await lockAccounts(db, dialect, names);
    const ended = locked.filter(({ hold, heldBy }) => hold && heldBy === undefined);
    return this.#promote(db, ended);
  }

  /** Chooses who caches accounts whose rows are locked, where nobody does and nobody may still do. */
  async #promote(db: Kysely<Schema>, accounts: readonly LockedAccount[]): Promise<Ownership[]> {
    if (accounts.length === 0) return [];
    const { dialect } = this.#database;
    const alive = await selectLiveInstances(db, dialect, this.#leaseMs);
    const assignments = await selectAssignments(
      db,
      accounts.map(({ name }) => name),
    );
    const result: Ownership[] = [];
    const changed: string[] = [];
    const promoted: number[] = [];
    for (const { name, version, heldBy } of accounts) {
      const plan = planElection(assignments.get(name) ?? [], (instanceId) => alive.has(instanceId), heldBy);
      const changes = plan.promoted !== undefined;
      if (changes) changed.push(name);
      if (changes) promoted.push(plan.promoted);
      result.push({ account: name, version: changes ? version + 1 : version, assignments: plan.remaining });
    }
    await startCaching(db, promoted);
    await bumpAccounts(db, dialect, changed);
    return result;
  }
}

interface ReleaseFilter {
  /** As release()'s. */
  readonly cachesForMs?: number;
  readonly instanceId: string;
  readonly agentId?: string;
  readonly epoch?: number;
  readonly accounts?: readonly string[];
}

function isOwn(account: AccountRegistration): boolean {
  return account.dynamicVersion === undefined;
}

function foreignAccountsError(accounts: readonly string[], owner: string): GatewayError {
  const shown = `${accounts.slice(0, 5).join(', ')}${accounts.length > 5 ? ' ...' : ''}`;
  return new GatewayError(
    'permission-denied',
    `register.accounts: ${shown}: registered by another identity than ${owner}; an operator can release it`,
    { field: 'register.accounts', accounts },
  );
}

/** Armory's plugin may have left rows without a status. */
function statusOf({ status }: LockedAccount): AccountStatus {
  return (status ?? 'ACTIVE') as AccountStatus;
}

/** Whether agents of the zone are to serve a dynamic account; without a zone it takes the one of the first. */
function isToServe(row: LockedAccount | undefined, zoneId: string): boolean {
  return row?.dynamic === true && isServable(statusOf(row)) && (row.zoneId === '' || row.zoneId === zoneId);
}

/** An agent's own account of the same name leaves a dynamic account to its lifecycle. */
function statusAfterClaim(row: LockedAccount, account: AccountRegistration): string {
  const status = statusOf(row);
  if (!row.dynamic) return 'ACTIVE';
  if (isOwn(account) && status !== 'ORPHANED') return status;
  return nextStatus(status, 'served') ?? status;
}
