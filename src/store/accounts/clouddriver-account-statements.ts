/** The statements on kubesvc_clouddriver_accounts: one function for each. */

import type { Kysely } from 'kysely';

import type { ClouddriverAccountRecord, ClouddriverState } from './clouddriver-account-record.js';
import { batches } from '../../core/batches.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { ClouddriverAccountsTable, Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

/** In the order of names. */
export async function selectClouddriverAccounts(db: Db): Promise<ClouddriverAccountRecord[]> {
  const rows = await db.selectFrom('kubesvc_clouddriver_accounts').selectAll().orderBy('name').execute();
  return rows.map(recordOf);
}

/** Those of `names` that have a row. */
export async function selectClouddriverAccountsNamed(
  db: Db,
  names: readonly string[],
): Promise<ClouddriverAccountRecord[]> {
  const found: ClouddriverAccountRecord[] = [];
  for (const batch of batches(names)) {
    const rows = await db.selectFrom('kubesvc_clouddriver_accounts').selectAll().where('name', 'in', batch).execute();
    found.push(...rows.map(recordOf));
  }
  return found;
}

export async function upsertClouddriverAccounts(
  db: Db,
  dialect: SqlDialect,
  records: readonly Omit<ClouddriverAccountRecord, 'lastUpdated'>[],
): Promise<void> {
  for (const batch of batches(records)) {
    const rows = batch.map(({ name, state, message }) => ({
      name,
      state,
      message: message ?? null,
      last_updated: dialect.nowMs,
    }));
    const insert = db.insertInto('kubesvc_clouddriver_accounts').values(rows);
    await dialect.upsert(insert, ['name'], ['state', 'message', 'last_updated']).execute();
  }
}

export async function deleteClouddriverAccounts(db: Db, names: readonly string[]): Promise<void> {
  for (const batch of batches(names))
    await db.deleteFrom('kubesvc_clouddriver_accounts').where('name', 'in', batch).execute();
}

function recordOf({ name, state, message, last_updated }: ClouddriverAccountsTable): ClouddriverAccountRecord {
  return {
    name,
    state: state as ClouddriverState,
    ...(message === null ? {} : { message }),
    lastUpdated: last_updated,
  };
}
