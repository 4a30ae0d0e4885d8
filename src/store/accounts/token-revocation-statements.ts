/** The statements on kubesvc_token_revocations: one function for each. */

import { sql, type Kysely } from 'kysely';

import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

/** Makes the row of an account that has none, so that revoking is one update in every case. */
export async function insertNeverRevoked(db: Db, dialect: SqlDialect, account: string): Promise<void> {
  const never = db.insertInto('kubesvc_token_revocations').values({ account, revoked_time: 0 });
  await dialect.insertMissing(never, ['account']).execute();
}

/** Later than before in any case, whatever the clock says: by that, tokens from before are told apart. */
export async function updateRevoked(db: Db, dialect: SqlDialect, account: string): Promise<void> {
  await db
    .updateTable('kubesvc_token_revocations')
    .set({ revoked_time: sql<number>`greatest(${dialect.nowMs}, revoked_time + 1)` })
    .where('account', '=', account)
    .execute();
}

export async function selectRevoked(db: Db, account: string): Promise<number | undefined> {
  const row = await db
    .selectFrom('kubesvc_token_revocations')
    .select('revoked_time')
    .where('account', '=', account)
    .executeTakeFirst();
  return row?.revoked_time;
}

/** By account. */
export async function selectAllRevoked(db: Db): Promise<ReadonlyMap<string, number>> {
  const rows = await db.selectFrom('kubesvc_token_revocations').select(['account', 'revoked_time']).execute();
  return new Map(rows.map(({ account, revoked_time }) => [account, revoked_time]));
}
