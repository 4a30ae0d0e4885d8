/** kubesvc_accounts: what agents registered, and accounts made by the API. */

import { sql, type Selectable } from 'kysely';

import type { AccountStatus } from './account-lifecycle.js';
import { lockAccounts } from '../assignments/assignment-statements.js';
import { batches, batchSize } from '../../core/batches.js';
import type { Database } from '../sql/database.js';
import type { AccountsTable } from '../sql/schema.js';

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
  /** Of a dynamic account: grows with every change of its definition. */
  readonly definitionVersion: number;
  readonly lastUpdated: number;
}

export class AccountStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async find(name: string, signal?: AbortSignal): Promise<AccountRecord | undefined> {
    const row = await this.#database.run(
      (db) => db.selectFrom('kubesvc_accounts').selectAll().where('name', '=', name).executeTakeFirst(),
      signal,
    );
    return row === undefined ? undefined : accountRecord(row);
  }

  /** Those of `names` that were registered once. */
  async known(names: readonly string[], signal?: AbortSignal): Promise<Set<string>> {
    return this.#database.run(async (db) => {
      const known = new Set<string>();
      for (const batch of batches(names)) {
        const rows = await db.selectFrom('kubesvc_accounts').select('name').where('name', 'in', batch).execute();
        for (const row of rows) known.add(row.name);
      }
      return known;
    }, signal);
  }

  /** `limit` accounts after the name `after` ('' for the first), in name order. */
  async list(after: string, limit: number, signal?: AbortSignal): Promise<readonly AccountRecord[]> {
    const rows = await this.#database.run(
      (db) =>
        db.selectFrom('kubesvc_accounts').selectAll().where('name', '>', after).orderBy('name').limit(limit).execute(),
      signal,
    );
    return rows.map(accountRecord);
  }

  /**
   * Removes accounts of agents (not dynamic ones) that no agent has served for `olderThanMs`; `limit` at most, and
   * 500 at most.
   * @returns their names
   */
  async removeWithoutAgents(olderThanMs: number, limit: number, signal?: AbortSignal): Promise<readonly string[]> {
    const { dialect } = this.#database;
    return this.#database.transaction(async (trx) => {
      const idle = trx
        .selectFrom('kubesvc_accounts')
        .select('name')
        .where('dynamic', '=', false)
        .where('caching_free_time', '=', 0)
        .where('last_updated', '<=', sql<number>`${dialect.nowMs} - ${sql.lit(olderThanMs)}`)
        .where((eb) =>
          eb.not(
            eb.exists(
              eb
                .selectFrom('kubesvc_assignments')
                .select('kubesvc_assignments.id')
                .whereRef('kubesvc_assignments.account_name', '=', 'kubesvc_accounts.name'),
            ),
          ),
        );
      const candidates = (await idle.orderBy('name').limit(Math.min(limit, batchSize)).execute()).map(
        (row) => row.name,
      );
      if (candidates.length === 0) return [];
      await lockAccounts(trx, dialect, candidates);
      // Once more, now that nobody can claim them.
      const names = (await idle.where('name', 'in', candidates).execute()).map((row) => row.name);
      if (names.length > 0) await trx.deleteFrom('kubesvc_accounts').where('name', 'in', names).execute();
      return names;
    }, signal);
  }
}

interface Properties {
  readonly namespaces?: readonly string[];
  readonly properties?: Readonly<Record<string, string>>;
}

/** For src/store alone. */
export function accountRecord(row: Selectable<AccountsTable>): AccountRecord {
  const { namespaces = [], properties = {} } = parseProperties(row.props);
  return {
    name: row.name,
    status: (row.status ?? 'ACTIVE') as AccountStatus,
    zoneId: row.zone_id ?? '',
    dynamic: Boolean(row.dynamic),
    connections: row.connections ?? 0,
    kubeHost: row.kube_host ?? '',
    kubeVersion: row.kube_version ?? '',
    certFingerprint: row.cert_fingerprint ?? '',
    maxWatchAgeSeconds: row.max_watch_age_seconds ?? 0,
    namespaces,
    properties,
    ...(row.definition === null ? {} : { definition: row.definition }),
    ...(row.error_message === null ? {} : { errorMessage: row.error_message }),
    failedCount: row.failed_count ?? 0,
    definitionVersion: row.definition_version,
    lastUpdated: row.last_updated ?? 0,
  };
}

/** What Armory's plugin wrote has another shape, and comes as empty until the agent registers again. */
function parseProperties(props: string | null): Properties {
  if (props === null || props === '') return {};
  try {
    const parsed: unknown = JSON.parse(props);
    return typeof parsed === 'object' && parsed !== null ? parsed : {};
  } catch {
    return {};
  }
}
