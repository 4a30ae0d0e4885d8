/** Assigns accounts to connections: the claims of many connections in one transaction. */

import type { Kysely } from 'kysely';

import { GatewayError } from '../../core/errors.js';
import { firstNames } from '../../core/first-names.js';
import { isServable, nextStatus, type AccountStatus } from '../accounts/account-lifecycle.js';
import type { AccountRegistration } from '../accounts/account-record.js';
import { forgetFailures, lockAccounts, type LockedAccount } from '../accounts/account-statements.js';
import { deleteHolds } from '../accounts/hold-statements.js';
import { bind, principalsOf } from '../accounts/principal-statements.js';
import { insertMissingAccounts, updateAccounts } from '../accounts/registration-statements.js';
import { afterClaim, planClaim } from './assignment-rules.js';
import { selectAssignments, upsertAssignments } from './assignment-statements.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Assignment, Connection, Ownership } from './ownership.js';
import type { Schema } from '../sql/schema.js';
import { conflict } from '../sql/sql-error.js';

/** A connection and the accounts that it serves from now on, each once. */
export interface ClaimRequest {
  readonly connection: Connection;
  readonly accounts: readonly AccountRegistration[];
}

/**
 * Every account of a request as it is now, in name order, except dynamic ones that no agent of the zone should serve,
 * or that belong to another principal; or why the request claimed nothing.
 */
export type ClaimOutcome = readonly Ownership[] | GatewayError;

/** An account while claims are applied to it, one after the other. */
interface AccountState {
  readonly row: LockedAccount;
  version: number;
  status: AccountStatus;
  zoneId: string;
  assignments: readonly Assignment[];
  /** The latest connection's description, once one has claimed it. */
  claimed?: { readonly account: AccountRegistration; readonly connection: Connection };
  /** Agents whose rows have changed. */
  readonly changed: Set<string>;
  /** The agent that it was held for, or another one, caches it: the hold has ended. */
  taken: boolean;
  /** An agent has begun to serve a dynamic account. */
  served: boolean;
}

/**
 * Applies the requests in their order, inside the caller's transaction. An account whose agent already has a newer
 * connection is left untouched: a late claim of an old connection changes nothing. If a connection has a principal,
 * accounts without a principal become that principal's.
 * @returns one outcome per request; a `permission-denied` names accounts that belong to another principal
 */
export async function claimAccounts(
  db: Kysely<Schema>,
  dialect: SqlDialect,
  requests: readonly ClaimRequest[],
): Promise<ClaimOutcome[]> {
  const refused = await refuseForeign(db, requests);
  const states = await lockStates(
    db,
    dialect,
    requests.filter((request) => !refused.has(request)),
  );
  const principals = await bindAccounts(db, dialect, requests, refused, states);
  for (const request of requests) if (!refused.has(request)) apply(request, states, principals);
  await write(db, dialect, [...states.values()]);
  return requests.map((request) => refused.get(request) ?? outcomeOf(request, states, principals));
}

/** Refuses requests before anything is written for them. */
async function refuseForeign(
  db: Kysely<Schema>,
  requests: readonly ClaimRequest[],
): Promise<Map<ClaimRequest, GatewayError>> {
  const refused = new Map<ClaimRequest, GatewayError>();
  const bound = requests.filter(({ connection }) => connection.principal !== undefined);
  if (bound.length === 0) return refused;
  const principals = await principalsOf(db, 'account', namesOf(bound));
  for (const request of bound) refuseIfForeign(request, principals, refused);
  return refused;
}

function refuseIfForeign(
  request: ClaimRequest,
  principals: ReadonlyMap<string, string>,
  refused: Map<ClaimRequest, GatewayError>,
): void {
  const { principal } = request.connection;
  const foreign = request.accounts.filter(
    (account) => isOwn(account) && isForeign(account.name, principal, principals),
  );
  if (foreign.length === 0 || principal === undefined) return;
  refused.set(
    request,
    foreignAccountsError(
      foreign.map(({ name }) => name),
      principal,
    ),
  );
}

/** Locks the accounts, and inserts those that were never registered before. */
async function lockStates(
  db: Kysely<Schema>,
  dialect: SqlDialect,
  requests: readonly ClaimRequest[],
): Promise<Map<string, AccountState>> {
  const names = namesOf(requests);
  if (names.length === 0) return new Map();
  const locked = await lockAccounts(db, dialect, names);
  const known = new Set(locked.map(({ name }) => name));
  const missing = new Map<string, ClaimRequest['accounts'][number] & { readonly zoneId: string }>();
  for (const { connection, accounts } of requests) {
    for (const account of accounts) {
      if (isOwn(account) && !known.has(account.name)) {
        missing.set(account.name, { ...account, zoneId: connection.zoneId });
      }
    }
  }
  if (missing.size > 0) {
    const names = [...missing.keys()].toSorted();
    await insertMissingAccounts(
      db,
      dialect,
      names.flatMap((name) => missing.get(name) ?? []),
    );
    locked.push(...(await lockAccounts(db, dialect, names)));
  }
  const assignments = await selectAssignments(db, names);
  return new Map(
    locked.map((row) => [
      row.name,
      {
        row,
        version: row.version,
        status: row.status,
        zoneId: row.zoneId,
        assignments: (assignments.get(row.name) ?? []).map(({ id: _, ...assignment }) => assignment),
        changed: new Set(),
        taken: false,
        served: false,
      },
    ]),
  );
}

/** Gives accounts that have no principal to the connections' principals. @returns the principal of each */
async function bindAccounts(
  db: Kysely<Schema>,
  dialect: SqlDialect,
  requests: readonly ClaimRequest[],
  refused: Map<ClaimRequest, GatewayError>,
  states: ReadonlyMap<string, AccountState>,
): Promise<ReadonlyMap<string, string>> {
  const wanted = new Map<string, string>();
  for (const request of requests) {
    const { principal, zoneId } = request.connection;
    if (principal === undefined || refused.has(request)) continue;
    for (const account of request.accounts) {
      if (wanted.has(account.name)) continue;
      if (isOwn(account) || isToServe(states.get(account.name), zoneId)) wanted.set(account.name, principal);
    }
  }
  const principals = await bind(db, dialect, 'account', wanted);
  // Bound since they were read, by another transaction or by an earlier request.
  for (const request of requests) if (!refused.has(request)) refuseIfForeign(request, principals, refused);
  return principals;
}

function apply(
  { connection, accounts }: ClaimRequest,
  states: ReadonlyMap<string, AccountState>,
  principals: ReadonlyMap<string, string>,
): void {
  for (const account of accounts) {
    const state = states.get(account.name);
    if (!isClaimable(account, connection, state, principals)) continue;
    // Removed between the two statements, because they had no agents.
    if (state === undefined) throw conflict(`account ${account.name} was removed`);
    const { row } = state;
    const plan = planClaim(connection, state.assignments, state.taken ? undefined : row.heldBy);
    if (plan.kind === 'late') continue;
    state.assignments = afterClaim(connection, state.assignments, plan);
    if (plan.kind !== 'held') {
      state.version += 1;
      state.changed.add(connection.agentId);
      if (row.hold && plan.caching) state.taken = true;
    }
    if (row.dynamic && !isOwn(account) && state.status !== 'ACTIVE') state.served = true;
    state.status = statusAfterClaim(state, account);
    state.zoneId = row.dynamic && state.zoneId !== '' ? state.zoneId : connection.zoneId;
    state.claimed = { account, connection };
  }
}

async function write(db: Kysely<Schema>, dialect: SqlDialect, states: readonly AccountState[]): Promise<void> {
  const sorted = states.toSorted((a, b) => (a.row.name < b.row.name ? -1 : 1));
  const rows = sorted.flatMap(({ row, assignments, changed }) =>
    assignments.filter(({ agentId }) => changed.has(agentId)).map((assignment) => ({ account: row.name, assignment })),
  );
  await upsertAssignments(db, dialect, rows);
  const updates = sorted.flatMap(({ claimed, status, zoneId, version, assignments }) =>
    claimed === undefined
      ? []
      : [{ account: claimed.account, status, zoneId, version, connections: assignments.length }],
  );
  await updateAccounts(db, dialect, updates);
  const named = (which: (state: AccountState) => boolean) => sorted.filter(which).map(({ row }) => row.name);
  await deleteHolds(
    db,
    named(({ taken }) => taken),
  );
  await forgetFailures(
    db,
    named(({ served }) => served),
  );
}

function outcomeOf(
  { connection, accounts }: ClaimRequest,
  states: ReadonlyMap<string, AccountState>,
  principals: ReadonlyMap<string, string>,
): readonly Ownership[] {
  const claimed = accounts.flatMap((account) => {
    const state = states.get(account.name);
    if (state === undefined || !isClaimable(account, connection, state, principals)) return [];
    return { account: account.name, version: state.version, assignments: state.assignments };
  });
  return claimed.toSorted((a, b) => (a.account < b.account ? -1 : 1));
}

function namesOf(requests: readonly ClaimRequest[]): string[] {
  return [...new Set(requests.flatMap(({ accounts }) => accounts.map(({ name }) => name)))].toSorted();
}

function isOwn(account: AccountRegistration): boolean {
  return account.dynamicVersion === undefined;
}

function isForeign(name: string, principal: string | undefined, principals: ReadonlyMap<string, string>): boolean {
  return principal !== undefined && (principals.get(name) ?? principal) !== principal;
}

function isClaimable(
  account: AccountRegistration,
  { principal, zoneId }: Connection,
  state: AccountState | undefined,
  principals: ReadonlyMap<string, string>,
): boolean {
  return isOwn(account) || (isToServe(state, zoneId) && !isForeign(account.name, principal, principals));
}

/**
 * Whether agents of the zone should serve a dynamic account; an account without a zone takes that of the first agent.
 */
function isToServe(state: AccountState | undefined, zoneId: string): boolean {
  return state?.row.dynamic === true && isServable(state.status) && (state.zoneId === '' || state.zoneId === zoneId);
}

/** An agent's own account of the same name does not change the lifecycle of a dynamic account. */
function statusAfterClaim({ row, status }: AccountState, account: AccountRegistration): AccountStatus {
  if (!row.dynamic) return 'ACTIVE';
  if (isOwn(account) && status !== 'ORPHANED') return status;
  const next = nextStatus(status, 'served');
  return next === undefined || next === 'DELETED' ? status : next;
}

function foreignAccountsError(accounts: readonly string[], principal: string): GatewayError {
  const shown = firstNames(accounts, 5);
  return new GatewayError(
    'permission-denied',
    `register.accounts: ${shown}: registered by a principal other than ${principal}; an operator can release it`,
    { field: 'register.accounts', accounts },
  );
}
