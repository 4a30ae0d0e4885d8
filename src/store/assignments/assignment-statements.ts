/** The statements on kubesvc_assignments and the accounts that they belong to: one function for each. */

import { sql, type ExpressionBuilder, type Kysely } from 'kysely';

import type { AssignmentRow } from './assignment-rules.js';
import { batches } from '../../core/batches.js';
import { bulkUpsert, type UpsertValue } from '../sql/bulk-upsert.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { AccountRegistration, Assignment, Connection, Ownership } from './ownership.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

export interface LockedAccount {
  readonly name: string;
  readonly version: number;
  readonly status: string | null;
  readonly dynamic: boolean;
  /** The agent that may still be caching although its stream broke. */
  readonly heldBy: string | undefined;
  /** Whether the row names a hold, over or not. */
  readonly hold: boolean;
  readonly zoneId: string;
}

/** Locks the rows of the accounts, in name order so that two transactions never wait for each other. */
export async function lockAccounts(db: Db, dialect: SqlDialect, names: readonly string[]): Promise<LockedAccount[]> {
  const rows = await db
    .selectFrom('kubesvc_accounts')
    .select(['name', 'assignments_version', 'status', 'dynamic', 'zone_id', 'caching_agent_id', 'caching_free_time'])
    .select(sql<number>`case when caching_free_time > ${dialect.nowMs} then 1 else 0 end`.as('held'))
    .where('name', 'in', names)
    .orderBy('name')
    .forUpdate()
    .execute();
  return rows.map((row) => ({
    name: row.name,
    version: row.assignments_version,
    status: row.status,
    dynamic: Boolean(row.dynamic),
    heldBy: Number(row.held) === 1 ? (row.caching_agent_id ?? '') : undefined,
    hold: row.caching_free_time > 0,
    zoneId: row.zone_id ?? '',
  }));
}

/** For so long nobody caches the accounts but the agents that cache them now; their rows are locked. */
export async function holdCaching(db: Db, dialect: SqlDialect, names: readonly string[], ms: number): Promise<void> {
  if (names.length === 0) return;
  await db
    .updateTable('kubesvc_accounts')
    .set((eb) => ({
      caching_free_time: sql<number>`${dialect.nowMs} + ${sql.lit(Math.ceil(ms))}`,
      caching_agent_id: eb
        .selectFrom('kubesvc_assignments')
        .select('kubesvc_assignments.agent_id')
        .whereRef('kubesvc_assignments.account_name', '=', 'kubesvc_accounts.name')
        .where('kubesvc_assignments.caching', '=', true)
        .limit(1),
    }))
    .where('name', 'in', names)
    .execute();
}

export async function deleteHolds(db: Db, names: readonly string[]): Promise<void> {
  if (names.length > 0) await withoutHold(db, names).execute();
}

/** Only those that are over: the account may be held anew. */
export async function deleteEndedHolds(db: Db, dialect: SqlDialect, names: readonly string[]): Promise<void> {
  await withoutHold(db, names).where('caching_free_time', '<=', dialect.nowMs).execute();
}

function withoutHold(db: Db, names: readonly string[]) {
  return db
    .updateTable('kubesvc_accounts')
    .set({ caching_free_time: 0, caching_agent_id: null })
    .where('name', 'in', names);
}

/** Accounts whose hold is over and that are not free yet, in name order. */
export async function selectEndedHolds(db: Db, dialect: SqlDialect, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('kubesvc_accounts')
    .select('name')
    .where('caching_free_time', '>', 0)
    .where('caching_free_time', '<=', dialect.nowMs)
    .orderBy('name')
    .limit(limit)
    .execute();
  return rows.map((row) => row.name);
}

export async function selectAssignments(db: Db, names: readonly string[]): Promise<Map<string, AssignmentRow[]>> {
  const rows = await db
    .selectFrom('kubesvc_assignments')
    .select(['id', 'account_name', 'agent_id', 'cd_id', 'epoch', 'process_id', 'caching'])
    .where('account_name', 'in', names)
    // What another program may have left.
    .where('agent_id', 'is not', null)
    .where('cd_id', 'is not', null)
    .orderBy('account_name')
    .orderBy('agent_id')
    .execute();
  const byAccount = new Map<string, AssignmentRow[]>(names.map((name) => [name, []]));
  for (const row of rows) {
    byAccount.get(row.account_name)?.push({
      id: row.id,
      agentId: row.agent_id,
      instanceId: row.cd_id,
      epoch: row.epoch,
      ...processOf(row.process_id),
      caching: Boolean(row.caching),
    });
  }
  return byAccount;
}

const registrationColumns = {
  name: 'value',
  kube_host: 'value',
  kube_version: 'value',
  cert_fingerprint: 'value',
  max_watch_age_seconds: 'value',
  props: 'value',
  zone_id: 'value',
  status: 'value',
  last_updated: 'now',
} as const;

function registrationValues(account: AccountRegistration, zoneId: string, status: string): UpsertValue[] {
  const { name, kubeHost, kubeVersion, certFingerprint, maxWatchAgeSeconds, namespaces, properties } = account;
  const props = JSON.stringify({ namespaces, properties });
  return [name, kubeHost, kubeVersion, certFingerprint, maxWatchAgeSeconds, props, zoneId, status];
}

// A version starts at the clock, above that of a row deleted before.
const missingAccounts = bulkUpsert(
  'kubesvc_accounts',
  { ...registrationColumns, assignments_version: 'now' },
  ['name'],
  { overwrite: false },
);

/** Makes the accounts that were never seen. */
export async function insertMissingAccounts(
  db: Db,
  dialect: SqlDialect,
  accounts: readonly (AccountRegistration & { readonly zoneId: string })[],
): Promise<void> {
  await missingAccounts(
    db,
    dialect,
    accounts.map((account) => registrationValues(account, account.zoneId, 'ACTIVE')),
  );
}

export interface AccountUpdate {
  readonly account: AccountRegistration;
  readonly status: string;
  readonly zoneId: string;
  readonly connections: number;
  readonly version: number;
}

const accountRows = bulkUpsert(
  'kubesvc_accounts',
  { ...registrationColumns, connections: 'value', assignments_version: 'value' },
  ['name'],
  { overwrite: true },
);

/** Overwrites what agents say of accounts whose rows are locked. */
export async function updateAccounts(db: Db, dialect: SqlDialect, updates: readonly AccountUpdate[]): Promise<void> {
  await accountRows(
    db,
    dialect,
    updates.map(({ account, status, zoneId, connections, version }) => [
      ...registrationValues(account, zoneId, status),
      connections,
      version,
    ]),
  );
}

/** What went wrong before is over: agents serve these accounts. */
export async function forgetFailures(db: Db, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await db
    .updateTable('kubesvc_accounts')
    .set({ error_message: null, failed_count: 0 })
    .where('name', 'in', names)
    .execute();
}

/** Dynamic accounts that no agent serves any more. */
export async function orphanAccounts(db: Db, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await db.updateTable('kubesvc_accounts').set({ status: 'ORPHANED' }).where('name', 'in', names).execute();
}

/** Counts the assignments of locked accounts anew and raises their versions by one. */
export async function bumpAccounts(db: Db, dialect: SqlDialect, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await db
    .updateTable('kubesvc_accounts')
    .set((eb) => ({
      assignments_version: eb('assignments_version', '+', 1),
      connections: eb
        .selectFrom('kubesvc_assignments')
        .select((count) => count.fn.countAll<number>().as('count'))
        .whereRef('kubesvc_assignments.account_name', '=', 'kubesvc_accounts.name')
        .$asScalar(),
      last_updated: dialect.nowMs,
    }))
    .where('name', 'in', names)
    .execute();
}

const assignmentRows = bulkUpsert(
  'kubesvc_assignments',
  {
    account_name: 'value',
    agent_id: 'value',
    cd_id: 'value',
    epoch: 'value',
    process_id: 'value',
    caching: 'value',
    reachable: 'value',
    connections: 'value',
    last_updated: 'now',
  },
  ['account_name', 'agent_id'],
  { overwrite: true },
);

/** Makes rows, and gives rows of an agent to its newer connection. */
export async function upsertAssignments(
  db: Db,
  dialect: SqlDialect,
  rows: readonly { readonly account: string; readonly assignment: Assignment }[],
): Promise<void> {
  await assignmentRows(
    db,
    dialect,
    rows.map(({ account, assignment: { agentId, instanceId, epoch, processId = '', caching } }) => [
      ...[account, agentId, instanceId],
      ...[epoch, processId, caching, true, 1],
    ]),
  );
}

export async function deleteAssignments(db: Db, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  await db.deleteFrom('kubesvc_assignments').where('id', 'in', ids).execute();
}

export async function startCaching(db: Db, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  await db
    .updateTable('kubesvc_assignments')
    .set({ caching: true, caching_stream: 0 })
    .where('id', 'in', ids)
    .execute();
}

export async function selectLiveInstances(db: Db, dialect: SqlDialect, leaseMs: number): Promise<Set<string>> {
  const rows = await db
    .selectFrom('kubesvc_instances')
    .select('id')
    .where('last_updated', '>', sql<number>`${dialect.nowMs} - ${sql.lit(leaseMs)}`)
    .execute();
  return new Set(rows.map((row) => row.id));
}

/** Names of accounts with a row that `filter` describes, after `afterAccount`, in name order. */
export async function selectAssignedAccounts(
  db: Db,
  filter: Partial<Connection> & { readonly accounts?: readonly string[] },
  afterAccount: string,
  limit: number,
): Promise<string[]> {
  let query = db
    .selectFrom('kubesvc_assignments')
    .select('account_name')
    .distinct()
    .where('account_name', '>', afterAccount)
    .orderBy('account_name')
    .limit(limit);
  if (filter.instanceId !== undefined) query = query.where('cd_id', '=', filter.instanceId);
  if (filter.agentId !== undefined) query = query.where('agent_id', '=', filter.agentId);
  if (filter.epoch !== undefined) query = query.where('epoch', '=', filter.epoch);
  if (filter.accounts !== undefined) query = query.where('account_name', 'in', filter.accounts);
  return (await query.execute()).map((row) => row.account_name);
}

interface OwnershipRow {
  readonly name: string;
  readonly version: number;
  readonly agent_id: string | null;
  readonly cd_id: string | null;
  readonly epoch: number | null;
  readonly process_id: string | null;
  readonly caching: boolean | number | null;
}

/** Accounts and their assignments in one statement, so that version and assignments belong together. */
export async function selectOwnerships(db: Db, names: readonly string[]): Promise<Ownership[]> {
  const found: Ownership[] = [];
  for (const batch of batches(names)) {
    const rows = await ownershipQuery(db, (eb) => eb('name', 'in', batch)).execute();
    found.push(...grouped(rows));
  }
  return found;
}

/** The `limit` accounts after `afterAccount`, as `selectOwnerships`. */
export async function selectOwnershipPage(db: Db, afterAccount: string, limit: number): Promise<Ownership[]> {
  return grouped(await ownershipQuery(db, (eb) => eb('name', '>', afterAccount), limit).execute());
}

function ownershipQuery(
  db: Db,
  which: (
    eb: ExpressionBuilder<Schema, 'kubesvc_accounts'>,
  ) => ReturnType<ExpressionBuilder<Schema, 'kubesvc_accounts'>>,
  limit?: number,
) {
  let accounts = db
    .selectFrom('kubesvc_accounts')
    .select(['name', 'assignments_version as version'])
    .where(which as never)
    .orderBy('name');
  if (limit !== undefined) accounts = accounts.limit(limit);
  return db
    .selectFrom(accounts.as('a'))
    .leftJoin('kubesvc_assignments as s', 's.account_name', 'a.name')
    .select(['a.name', 'a.version', 's.agent_id', 's.cd_id', 's.epoch', 's.process_id', 's.caching'])
    .orderBy('a.name')
    .orderBy('s.agent_id');
}

function grouped(rows: readonly OwnershipRow[]): Ownership[] {
  const accounts = new Map<string, { account: string; version: number; assignments: Assignment[] }>();
  for (const row of rows) {
    const entry = accounts.get(row.name) ?? { account: row.name, version: row.version, assignments: [] };
    accounts.set(row.name, entry);
    if (row.agent_id === null || row.cd_id === null || row.epoch === null) continue;
    entry.assignments.push({
      agentId: row.agent_id,
      instanceId: row.cd_id,
      epoch: row.epoch,
      ...processOf(row.process_id),
      caching: Boolean(row.caching),
    });
  }
  return [...accounts.values()];
}

function processOf(id: string | null): Pick<Assignment, 'processId'> {
  return id === null || id === '' ? {} : { processId: id };
}
