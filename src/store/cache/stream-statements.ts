/** The statements that say which stream may write an account's cached objects: one function for each. */

import type { Kysely } from 'kysely';

import type { CachingAgent, CachingHolder } from './cached-object.js';
import { foreignAccounts } from '../accounts/owner-statements.js';
import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';

type Db = Kysely<Schema>;

/** The accounts that the agent's connection may cache, locked until the transaction ends. */
export async function lockCaching(
  db: Db,
  { agentId, epoch, owner }: CachingAgent,
  accounts: readonly string[],
): Promise<string[]> {
  const rows = await db
    .selectFrom('kubesvc_assignments')
    .select('account_name')
    .where('account_name', 'in', accounts)
    .where('agent_id', '=', agentId)
    .where('epoch', '=', epoch)
    .where('caching', '=', true)
    .orderBy('account_name')
    .forUpdate()
    .execute();
  const held = rows.map((row) => row.account_name);
  if (owner === undefined || held.length === 0) return held;
  const foreign = await foreignAccounts(db, held, owner);
  return held.filter((account) => !foreign.has(account));
}

/** Records the number of the stream that may write these locked accounts from now on. */
export async function startStream(
  db: Db,
  { agentId }: CachingAgent,
  accounts: readonly string[],
  stream: number,
): Promise<void> {
  await db
    .updateTable('kubesvc_assignments')
    .set({ caching_stream: stream })
    .where('account_name', 'in', accounts)
    .where('agent_id', '=', agentId)
    .execute();
}

/**
 * The streams that may write the accounts, locked until the transaction ends: no claim or release can come between this
 * and a write. The lock is shared, because MySQL's optimizer reads a small table from end to end: transactions that
 * write other accounts would wait for each other's rows.
 */
export async function lockHolders(
  db: Db,
  dialect: SqlDialect,
  accounts: readonly string[],
): Promise<Map<string, CachingHolder>> {
  const rows = await db
    .selectFrom('kubesvc_assignments')
    .select(['account_name', 'agent_id', 'epoch', 'caching_stream'])
    .where('account_name', 'in', accounts)
    .where('caching', '=', true)
    .orderBy('account_name')
    .orderBy('agent_id')
    .modifyEnd(dialect.shareLock)
    .execute();
  return new Map(
    rows.map((row) => [row.account_name, { agentId: row.agent_id, epoch: row.epoch, stream: row.caching_stream }]),
  );
}

/** The number of the cluster's latest connection or stream. */
export async function selectLastNumber(db: Db): Promise<number> {
  const row = await db.selectFrom('kubesvc_counters').select('value').where('name', '=', 'epoch').executeTakeFirst();
  return row?.value ?? 0;
}
