/** Which accounts' operations fail, since when, and why: from the newest part of the history. */

import type { Kysely } from 'kysely';

import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';
import { selectFailures, selectMessages, selectNewest } from './failure-statements.js';
import { finalOutcomes, type FinalOutcome } from './operation-record.js';

/** An account with operations that failed within the last hour. Counts are of operations that started in that time. */
export interface AccountFailures {
  readonly account: string;
  readonly last15Minutes: number;
  readonly lastHour: number;
  /** No operation has completed since the last failure. */
  readonly ongoing: boolean;
  /**
   * Start of the first operation that failed after the last one that completed, in ms UTC; if it is not ongoing, of the first
   * one that failed within the hour.
   */
  readonly since: number;
  /** It may have begun before `since`: too many operations have failed to look further back. */
  readonly orEarlier: boolean;
  readonly last: {
    readonly operationId: string;
    /** When it started, in ms UTC. */
    readonly time: number;
    readonly outcome: FinalOutcome;
    readonly message?: string;
  };
}

export interface Failures {
  /** Those with the most failures within 15 minutes first. */
  readonly accounts: readonly AccountFailures[];
  /** Accounts with failures, also those that are not listed. */
  readonly total: number;
  /** There were more failures than were counted: the counts are lower bounds. */
  readonly more: boolean;
}

/** A cancelled operation ended because its caller wanted it. */
const failing: readonly FinalOutcome[] = finalOutcomes.filter(
  (outcome) => outcome !== 'completed' && outcome !== 'cancelled',
);
const minute = 60_000;
/** Failures of one outcome that are counted. */
const maxCounted = 10_000;
const maxAccounts = 20;
/** Operations of one account among which the last completed one is looked for. */
const maxLookedAt = 1_000;

export async function readFailures(db: Kysely<Schema>, dialect: SqlDialect): Promise<Failures> {
  const counts = new Map<string, { last15Minutes: number; lastHour: number }>();
  let more = false;
  for (const outcome of failing) {
    const rows = await selectFailures(db, dialect, outcome, 60 * minute, maxCounted);
    more ||= rows.length === maxCounted;
    for (const { account, age, count: requests } of rows) {
      const count = counts.get(account) ?? { last15Minutes: 0, lastHour: 0 };
      counts.set(account, count);
      count.lastHour += requests;
      if (age < 15 * minute) count.last15Minutes += requests;
    }
  }
  const worst = [...counts]
    .sort(([, a], [, b]) => b.last15Minutes - a.last15Minutes || b.lastHour - a.lastHour)
    .slice(0, maxAccounts);
  const accounts: AccountFailures[] = [];
  for (const [account, count] of worst) {
    const history = await historyOf(db, account, count.lastHour);
    if (history !== undefined) accounts.push({ account, ...count, ...history });
  }
  return { accounts: await withMessages(db, accounts), total: counts.size, more };
}

async function historyOf(
  db: Kysely<Schema>,
  account: string,
  lastHour: number,
): Promise<Pick<AccountFailures, 'ongoing' | 'since' | 'orEarlier' | 'last'> | undefined> {
  const rows = await selectNewest(db, account, maxLookedAt);
  const completed = rows.findIndex((row) => row.final_outcome === 'completed');
  const failed = rows.flatMap(({ operation_id: operationId, start_time: time, final_outcome }, index) => {
    const outcome = failing.find((one) => one === final_outcome);
    return outcome === undefined ? [] : [{ index, operationId, time: time ?? 0, outcome }];
  });
  const [last] = failed;
  if (last === undefined) return undefined;
  const { operationId, time, outcome } = last;
  const ongoing = completed === -1 || completed > last.index;
  const run = ongoing ? failed.filter(({ index }) => completed === -1 || index < completed) : failed.slice(0, lastHour);
  return {
    ongoing,
    since: run.at(-1)?.time ?? time,
    orEarlier: ongoing && completed === -1 && rows.length === maxLookedAt,
    last: { operationId, time, outcome },
  };
}

async function withMessages(db: Kysely<Schema>, accounts: readonly AccountFailures[]): Promise<AccountFailures[]> {
  if (accounts.length === 0) return [];
  const ids = accounts.map(({ last }) => last.operationId);
  const messages = new Map(
    (await selectMessages(db, ids)).map((row) => [row.operation_id, row.error_message ?? row.result_message]),
  );
  return accounts.map((account) => {
    const message = messages.get(account.last.operationId);
    return message === null || message === undefined ? account : { ...account, last: { ...account.last, message } };
  });
}
