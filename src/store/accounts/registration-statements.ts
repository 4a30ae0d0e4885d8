/** What agents say of accounts, as statements on kubesvc_accounts: one function for each. */

import type { Kysely } from 'kysely';

import type { AccountRegistration } from './account-record.js';
import { bulkUpsert, type UpsertValue } from '../sql/bulk-upsert.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

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

/** Inserts accounts that were never seen. */
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

/** Overwrites the agents' descriptions of accounts whose rows are locked. */
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
