/** Dynamic accounts in kubesvc_accounts, as the API makes, changes and reads them. account-turns.ts fulfils what it asks. */

import { randomUUID } from 'node:crypto';
import { sql, type Kysely } from 'kysely';

import { aimOf, nextStatus, type AccountRequest, type AccountStatus } from './account-lifecycle.js';
import { accountRecord, type AccountRecord } from './accounts.js';
import { selectLiveInstances } from '../assignments/assignment-statements.js';
import { batches } from '../../core/batches.js';
import type { Database } from '../sql/database.js';
import { unbindAccounts } from './owners.js';
import type { Schema } from '../sql/schema.js';

export interface NewDynamicAccount {
  readonly name: string;
  /** '': the zone of the first agent that can serve it. */
  readonly zoneId: string;
  /** JSON text, as accounts/definition.ts seals it. */
  readonly definition: string;
  /** Whether agents are to serve it at once. */
  readonly activate: boolean;
}

export interface AccountChange {
  readonly name: string;
  readonly request?: AccountRequest | undefined;
  readonly zoneId?: string | undefined;
  /** Pure: called once the account's row is locked, and again when the transaction is. */
  readonly edit?: ((definition: string | undefined) => string) | undefined;
}

/** `refused`: the account's state does not allow it. */
export type ChangeOutcome = 'accepted' | 'unknown' | 'not-dynamic' | 'refused';

export interface ChangeResult {
  readonly name: string;
  readonly outcome: ChangeOutcome;
  /** Before the change; absent for unknown ones. */
  readonly status?: AccountStatus;
}

export interface DynamicAccountFilter {
  readonly status?: AccountStatus | undefined;
  readonly zoneId?: string | undefined;
}

export type DynamicAccountSummary = Pick<
  AccountRecord,
  'name' | 'status' | 'zoneId' | 'connections' | 'failedCount' | 'errorMessage' | 'lastUpdated'
>;

export interface DynamicAccountStoreOptions {
  /** An instance is alive while its last heartbeat is younger, in ms. */
  readonly leaseMs: number;
}

export class DynamicAccountStore {
  readonly #database: Database;
  readonly #leaseMs: number;

  constructor(database: Database, { leaseMs }: DynamicAccountStoreOptions) {
    this.#database = database;
    this.#leaseMs = leaseMs;
  }

  /**
   * Adds accounts, each name once.
   * @returns those whose names were there already, dynamic or not, as they are: they are left alone
   */
  async create(accounts: readonly NewDynamicAccount[], signal?: AbortSignal): Promise<readonly AccountRecord[]> {
    const token = randomUUID();
    const present: AccountRecord[] = [];
    for (const batch of batches(accounts)) {
      present.push(...(await this.#database.transaction((trx) => this.#create(trx, batch, token), signal)));
    }
    return present;
  }

  /** Applies each change that is possible, in the order of names. @returns what became of each, in that order */
  async change(changes: readonly AccountChange[], signal?: AbortSignal): Promise<readonly ChangeResult[]> {
    const sorted = changes.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const results: ChangeResult[] = [];
    for (const batch of batches(sorted)) {
      results.push(...(await this.#database.transaction((trx) => this.#change(trx, batch), signal)));
    }
    return results;
  }

  /** `limit` dynamic accounts after the name `after` ('' for the first), in name order. */
  async list(
    { status, zoneId }: DynamicAccountFilter,
    after: string,
    limit: number,
    signal?: AbortSignal,
  ): Promise<readonly AccountRecord[]> {
    const rows = await this.#database.run((db) => {
      let query = db.selectFrom('kubesvc_accounts').selectAll().where('dynamic', '=', true).where('name', '>', after);
      if (status !== undefined) query = query.where('status', '=', status);
      if (zoneId !== undefined) query = query.where('zone_id', '=', zoneId);
      return query.orderBy('name').limit(limit).execute();
    }, signal);
    return rows.map(accountRecord);
  }

  /** As list(), without the definitions and all else that is large. */
  async summaries(after: string, limit: number, signal?: AbortSignal): Promise<readonly DynamicAccountSummary[]> {
    const rows = await this.#database.run(
      (db) =>
        db
          .selectFrom('kubesvc_accounts')
          .select(['name', 'status', 'zone_id', 'connections', 'failed_count', 'error_message', 'last_updated'])
          .where('dynamic', '=', true)
          .where('name', '>', after)
          .orderBy('name')
          .limit(limit)
          .execute(),
      signal,
    );
    return rows.map((row) => ({
      name: row.name,
      status: (row.status ?? 'ACTIVE') as AccountStatus,
      zoneId: row.zone_id ?? '',
      connections: row.connections ?? 0,
      failedCount: row.failed_count ?? 0,
      ...(row.error_message === null ? {} : { errorMessage: row.error_message }),
      lastUpdated: row.last_updated ?? 0,
    }));
  }

  async #create(db: Kysely<Schema>, accounts: readonly NewDynamicAccount[], token: string): Promise<AccountRecord[]> {
    const { dialect } = this.#database;
    const names = accounts.map(({ name }) => name);
    const live = await selectLiveInstances(db, dialect, this.#leaseMs);
    const query = db.insertInto('kubesvc_accounts').values(
      accounts.map(({ name, zoneId, definition, activate }) => ({
        ...{ name, zone_id: zoneId, definition, dynamic: true, write_token: token },
        status: activate ? 'TO_MIGRATE' : 'INACTIVE',
        due_time: activate ? dialect.nowMs : null,
        waiting_cd_ids: activate ? waitingText(live) : null,
        definition_version: dialect.nowMs,
        // As registered ones: above that of a row deleted before.
        assignments_version: dialect.nowMs,
        last_updated: dialect.nowMs,
      })),
    );
    await dialect.insertMissing(query, ['name']).execute();
    const rows = await db.selectFrom('kubesvc_accounts').selectAll().where('name', 'in', names).execute();
    return rows.filter((row) => row.write_token !== token).map(accountRecord);
  }

  async #change(db: Kysely<Schema>, changes: readonly AccountChange[]): Promise<ChangeResult[]> {
    const { dialect } = this.#database;
    const rows = await db
      .selectFrom('kubesvc_accounts')
      .select(['name', 'status', 'dynamic', 'definition', 'zone_id'])
      .where(
        'name',
        'in',
        changes.map(({ name }) => name),
      )
      .orderBy('name')
      .forUpdate()
      .execute();
    const byName = new Map(rows.map((row) => [row.name, row]));
    const waiting = waitingText(await selectLiveInstances(db, dialect, this.#leaseMs));

    /** Accounts that only enter a state, by that state: one statement each. */
    const entering = new Map<AccountStatus, string[]>();
    const results: ChangeResult[] = [];
    for (const { name, request, zoneId, edit } of changes) {
      const row = byName.get(name);
      if (row === undefined) {
        results.push({ name, outcome: 'unknown' });
        continue;
      }
      const status = (row.status ?? 'ACTIVE') as AccountStatus;
      const next = request === undefined ? status : nextStatus(status, request);
      if (!row.dynamic || next === undefined || next === 'DELETED') {
        results.push({ name, status, outcome: row.dynamic ? 'refused' : 'not-dynamic' });
        continue;
      }
      results.push({ name, status, outcome: 'accepted' });
      const edited = edit?.(row.definition ?? undefined) ?? row.definition;
      const moved = zoneId !== undefined && zoneId !== (row.zone_id ?? '');
      if (edited === row.definition && !moved) {
        if (next !== status) entering.set(next, [...(entering.get(next) ?? []), name]);
        continue;
      }
      // Agents of another zone, perhaps another identity's, are to serve it.
      if (moved) await unbindAccounts(db, [name]);
      await this.#enter(db, [name], next, waiting, {
        definition: edited,
        zone_id: zoneId ?? row.zone_id,
        ...(edited === row.definition
          ? {}
          : { definition_version: sql<number>`greatest(definition_version + 1, ${dialect.nowMs})` }),
      });
    }
    for (const [status, names] of entering) await this.#enter(db, names, status, waiting, {});
    return results;
  }

  /** Failures of before are forgotten. An instance whose turn it is ends that first. */
  async #enter(
    db: Kysely<Schema>,
    names: readonly string[],
    status: AccountStatus,
    waiting: string,
    values: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    const { dialect } = this.#database;
    const atRest = aimOf(status) === undefined;
    await db
      .updateTable('kubesvc_accounts')
      .set({
        ...{ status, failed_count: 0, error_message: null, last_updated: dialect.nowMs },
        due_time: atRest
          ? null
          : sql<number>`case when claimed_by_cd_id is null then ${dialect.nowMs} else due_time end`,
        waiting_cd_ids: atRest ? null : waiting,
        ...values,
      })
      .where('name', 'in', names)
      .execute();
  }
}

const separator = '\n';

/** Instances as waiting_cd_ids has them. */
export function waitingText(instanceIds: Iterable<string>): string {
  return [...instanceIds].map((id) => separator + id + separator).join('');
}

export function waitingIds(text: string | null): string[] {
  return (text ?? '').split(separator).filter((id) => id !== '');
}
