/**
 * Copies SQL to Redis, page by page. Safe beside other writes, and beside another run of itself:
 * it writes entries that are newer in SQL, and removes only entries that are newer in Redis than in SQL, which is read
 * after Redis (every write to Redis follows a commit to SQL, so that can only be a deleted account or a restored
 * database).
 */

import { within } from '../../core/deadline.js';
import type { Ownership } from '../assignments/ownership.js';
import type { RedisStore } from './redis-store.js';
import type { Change } from './wire.js';

/** The reads from SQL that the mirror needs. */
export interface OwnershipTruth {
  /** The accounts that exist, with or without assignments. */
  find(accounts: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, Ownership>>;
  /** The next accounts in the database's order of names; empty after the last. */
  page(afterAccount: string, limit: number, signal?: AbortSignal): Promise<readonly Ownership[]>;
}

export interface CopyOptions {
  readonly store: RedisStore;
  readonly truth: OwnershipTruth;
  readonly token: string;
  readonly lockMs: number;
  /** Deadline of one read from SQL, in ms. */
  readonly pageTimeoutMs: number;
  /** Does not announce the changes. */
  readonly quiet: boolean;
  readonly signal: AbortSignal;
}

/** Accounts read from SQL and written to Redis at a time. */
const pageAccounts = 500;

/**
 * @returns the number of accounts that were wrong in Redis
 * @throws Error when the lock is lost, when Redis or SQL fails or is too slow; the signal's reason when aborted
 */
export async function copyTruth(options: CopyOptions): Promise<number> {
  const { store, truth, token, lockMs, pageTimeoutMs, quiet, signal } = options;
  let changed = 0;
  let after = '';
  for (;;) {
    signal.throwIfAborted();
    const page = await within(
      pageTimeoutMs,
      'SQL: page of assignments',
      truth.page(after, pageAccounts, AbortSignal.timeout(pageTimeoutMs)),
    );
    const last = page.at(-1);
    if (last === undefined) break;
    changed += await store.write(page, quiet);
    await store.extend(token, lockMs);
    after = last.account;
  }
  let cursor = '0';
  do {
    signal.throwIfAborted();
    const mirrored = await store.scan(cursor, pageAccounts);
    for (let start = 0; start < mirrored.entries.length; start += pageAccounts) {
      const entries = mirrored.entries.slice(start, start + pageAccounts);
      const names = entries.map((entry) => entry.account);
      const found = await within(
        pageTimeoutMs,
        'SQL: assignments of accounts',
        truth.find(names, AbortSignal.timeout(pageTimeoutMs)),
      );
      const corrections = entries.flatMap((entry) => correction(entry, found.get(entry.account)));
      if (corrections.length > 0) changed += await store.write(corrections, quiet);
    }
    await store.extend(token, lockMs);
    cursor = mirrored.cursor;
  } while (cursor !== '0');
  return changed;
}

function correction({ account, version }: Ownership, truth: Ownership | undefined): Change[] {
  const removal: Change = { account, version, removed: true };
  if (truth === undefined) return [removal];
  return truth.version < version ? [removal, truth] : [];
}
