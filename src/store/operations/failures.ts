/** Which accounts' operations fail, since when, and why: from the newest part of the history. */

import type { Kysely } from 'kysely';

import type { SqlDialect } from '../sql/dialect.js';
import type { Schema } from '../sql/schema.js';
import { selectFailureCounts, selectFailuresAt, selectNewest } from './failure-statements.js';
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
/** Operations of one account among which the last completed one is looked for: first among a few, where it nearly always is. */
const lookedAt = [20, 100, 1_000];

export async function readFailures(db: Kysely<Schema>, dialect: SqlDialect): Promise<Failures> {
  const { failing: found, more } = await countFailures(db, dialect);
  const worst = found
    .toSorted((a, b) => b.last15Minutes - a.last15Minutes || b.lastHour - a.lastHour)
    .slice(0, maxAccounts);
  const runs = await readRuns(
    db,
    worst.map(({ account }) => account),
  );
  const lasts = await readLast(db, worst);
  const accounts = worst.flatMap(({ account, last15Minutes, lastHour, first }): AccountFailures[] => {
    const last = lasts.get(account);
    // It was purged meanwhile.
    if (last === undefined) return [];
    const run = runs.get(account);
    const { since, orEarlier } = run ?? { since: first, orEarlier: false };
    return [{ account, last15Minutes, lastHour, ongoing: run !== undefined, since, orEarlier, last }];
  });
  return { accounts, total: found.length, more };
}

interface Counted {
  readonly account: string;
  last15Minutes: number;
  lastHour: number;
  /** Start of the first and the last failure within the hour, in ms UTC. */
  first: number;
  last: number;
}

async function countFailures(
  db: Kysely<Schema>,
  dialect: SqlDialect,
): Promise<{ readonly failing: readonly Counted[]; readonly more: boolean }> {
  const period = { outcomes: failing, periodMs: 60 * minute, recentMs: 15 * minute, limit: maxCounted };
  const accounts = new Map<string, Counted>();
  const rowsOf = new Map<string, number>();
  for (const { account, outcome, rows, requests, recentRequests, first, last } of await selectFailureCounts(
    db,
    dialect,
    period,
  )) {
    rowsOf.set(outcome, (rowsOf.get(outcome) ?? 0) + rows);
    const counted = accounts.get(account) ?? { account, last15Minutes: 0, lastHour: 0, first, last };
    accounts.set(account, counted);
    counted.last15Minutes += recentRequests;
    counted.lastHour += requests;
    counted.first = Math.min(counted.first, first);
    counted.last = Math.max(counted.last, last);
  }
  return { failing: [...accounts.values()], more: [...rowsOf.values()].some((rows) => rows >= maxCounted) };
}

type Run = Pick<AccountFailures, 'since' | 'orEarlier'>;

/** Of the accounts whose newest operation, cancelled ones aside, failed: since when no operation completes. */
async function readRuns(db: Kysely<Schema>, accounts: readonly string[]): Promise<ReadonlyMap<string, Run>> {
  const runs = new Map<string, Run>();
  let unknown = new Set(accounts);
  for (const limit of lookedAt) {
    const rows = await selectNewest(db, [...unknown], limit);
    const unseen = new Set<string>();
    for (const account of unknown) {
      const newest = rows.filter((row) => row.account === account);
      const completed = newest.findIndex(({ outcome }) => outcome === 'completed');
      if (completed === -1 && newest.length === limit && limit !== lookedAt.at(-1)) unseen.add(account);
      const failed = newest
        .slice(0, completed === -1 ? undefined : completed)
        .filter(({ outcome }) => failing.some((one) => one === outcome));
      const since = failed.at(-1)?.startTime;
      if (since !== undefined) runs.set(account, { since, orEarlier: completed === -1 && newest.length === limit });
    }
    unknown = unseen;
  }
  return runs;
}

/** The last failure of each account. */
async function readLast(
  db: Kysely<Schema>,
  counted: readonly Counted[],
): Promise<ReadonlyMap<string, AccountFailures['last']>> {
  const found = new Map<string, AccountFailures['last']>();
  if (counted.length === 0) return found;
  const times = new Map(counted.map(({ account, last }) => [account, last]));
  const starts = counted.map(({ account, last: startTime }) => ({ account, startTime }));
  for (const row of await selectFailuresAt(db, failing, starts)) {
    const outcome = failing.find((one) => one === row.final_outcome);
    const account = row.account ?? '';
    const time = times.get(account);
    if (outcome === undefined || time === undefined) continue;
    const known = found.get(account);
    if (known !== undefined && known.operationId > row.operation_id) continue;
    const message = row.error_message ?? row.result_message;
    const last = { operationId: row.operation_id, time, outcome };
    found.set(account, message === null ? last : { ...last, message });
  }
  return found;
}
