/**
 * kubesvc_cache, kubesvc_cache_rel and kubesvc_resourceversion: the objects of the clusters.
 *
 * Two numbers keep them correct, no matter what is killed when (docs/decisions/0007-cached-objects.md):
 * - the **stream** of an account, in kubesvc_assignments: only the stream whose number is there may write, which
 *   each writing transaction checks under a lock;
 * - the **generation** of an object, `generationOf(stream, n)` with n the snapshots begun on the stream so far: at the
 *   end of a snapshot, objects with a lower generation were not in it. No clock is involved.
 */

import { batches, batchSize } from '../../core/batches.js';
import { byteBatches } from '../sql/byte-batches.js';
import type {
  CacheWrite,
  CacheWriteOutcome,
  CachingAgent,
  CachingHolder,
  CachingStart,
  StoredResumePoint,
} from './cached-object.js';
import type { Database } from '../sql/database.js';
import {
  deleteObjects,
  lockExpired,
  replaceRelations,
  selectOlder,
  selectOlderOfAccount,
  upsertObjects,
  type ObjectOfAgent,
} from './object-statements.js';
import {
  deleteForgottenVersions,
  forgetVersions,
  selectResumePoints,
  selectUnknownAccounts,
  upsertVersions,
} from './resume-point-statements.js';
import { lockCaching, lockHolders, selectLastNumber, startStream } from './stream-statements.js';

/** Snapshots that one stream may begin (caching/session.ts ends it before). */
const snapshotsPerStream = 2 ** 20;

/** A number that grows with the streams of an account, and within a stream with its snapshots. */
function generationOf({ streams }: CacheWrite, account: string, snapshots: number): number {
  return (streams.get(account) ?? 0) * snapshotsPerStream + snapshots;
}

/** Objects that one transaction removes at the end of a snapshot. */
const removedPerTransaction = 1_000;

export class CacheStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Assigns the accounts that the agent's connection may cache to its new stream, in transactions of 500. */
  async start(agent: CachingAgent, accounts: readonly string[], signal?: AbortSignal): Promise<CachingStart> {
    const { dialect } = this.#database;
    const streams = new Map<string, number>();
    const points: StoredResumePoint[] = [];
    for (const batch of batches([...new Set(accounts)].toSorted())) {
      const taken = await this.#database.transaction(async (trx) => {
        const held = await lockCaching(trx, agent, batch);
        if (held.length === 0) return undefined;
        // Taken under the lock: the next agent that caches gets a higher one.
        const stream = await dialect.addToCounter(trx, 'epoch', 1);
        if (stream === undefined)
          throw new Error('the epoch counter is missing: the database is not migrated; run agent-gateway migrate');
        await startStream(trx, agent, held, stream);
        return { held, stream, points: await selectResumePoints(trx, held) };
      }, signal);
      if (taken === undefined) continue;
      for (const account of taken.held) streams.set(account, taken.stream);
      points.push(...taken.points);
    }
    return { streams, points };
  }

  /**
   * Commits the changes of several streams together; those of accounts that a stream does not hold are dropped.
   * More than 1,000 objects that snapshots did not contain are removed in further transactions, before resume points
   * are written. May be repeated.
   * @returns one outcome for each, in the same order
   */
  async write(writes: readonly CacheWrite[], signal?: AbortSignal): Promise<readonly CacheWriteOutcome[]> {
    const { dialect } = this.#database;
    const accounts = [...new Set(writes.flatMap(accountsOf))].toSorted();
    const removed = writes.map(() => 0);
    if (accounts.length === 0) return writes.map(() => ({ lost: [], removed: 0 }));
    for (let round = 0; ; round += 1) {
      const { lost, more, counts } = await this.#database.transaction(async (trx) => {
        const holders = await lockHolders(trx, dialect, accounts);
        const held = (write: CacheWrite, account: string) => isHeldBy(holders.get(account), write, account);
        if (round === 0) {
          const objects = writes.flatMap((write) =>
            write.objects
              .filter(({ account }) => held(write, account))
              .map((object) => ({
                agentId: write.agent.agentId,
                generation: generationOf(write, object.account, object.snapshots),
                object,
              })),
          );
          // In the order of ids, so that two transactions never wait for each other.
          objects.sort((a, b) => (a.object.id < b.object.id ? -1 : 1));
          for (const batch of byteBatches(objects, this.#database.statementBytes, bodyBytes)) {
            const before = await upsertObjects(trx, dialect, batch);
            await replaceRelations(trx, dialect, batch, before);
          }
          const deleted = writes.flatMap((write) =>
            write.deleted.filter(({ account }) => held(write, account)).map(({ id }) => id),
          );
          await deleteObjects(trx, deleted.toSorted());
        }
        let left = removedPerTransaction;
        const counts = writes.map(() => 0);
        for (const [index, write] of writes.entries()) {
          for (const { scope, number } of write.snapshots) {
            if (left === 0 || !held(write, scope.account)) continue;
            const older = await selectOlder(trx, scope, generationOf(write, scope.account, number), left);
            await deleteObjects(trx, older.toSorted());
            left -= older.length;
            counts[index] = (counts[index] ?? 0) + older.length;
          }
        }
        if (left > 0) {
          const versions = writes.flatMap((write) => write.versions.filter(({ scope }) => held(write, scope.account)));
          await upsertVersions(trx, dialect, versions);
        }
        return {
          lost: writes.map((write) => accountsOf(write).filter((account) => !held(write, account))),
          more: left === 0,
          counts,
        };
      }, signal);
      for (const [index, count] of counts.entries()) removed[index] = (removed[index] ?? 0) + count;
      if (!more) return lost.map((each, index) => ({ lost: each, removed: removed[index] ?? 0 }));
    }
  }

  /** Removes objects of these kinds that were not updated for this time, `limit` at most. @returns how many */
  purge(kinds: readonly string[], olderThanMs: number, limit: number, signal?: AbortSignal): Promise<number> {
    return this.#database.transaction(async (trx) => {
      const expired = await lockExpired(trx, this.#database.dialect, kinds, olderThanMs, limit);
      await deleteObjects(trx, expired);
      return expired.length;
    }, signal);
  }

  /**
   * Removes the cached objects of removed accounts, of 500 accounts at most; an account that comes back meanwhile
   * keeps the objects that are written from then on. Call it until the answer is 0.
   * @returns how many accounts
   */
  async removeUnknownAccounts(signal?: AbortSignal): Promise<number> {
    const database = this.#database;
    const candidates = await database.run((db) => selectUnknownAccounts(db, batchSize), signal);
    if (candidates.length === 0) return 0;
    // This comes first, so that an agent that comes back between two steps does not resume from a point where objects
    // are missing.
    await database.run((db) => forgetVersions(db, candidates), signal);
    // Streams that begin from here on have higher numbers; earlier ones ended with their account.
    const last = await database.run(selectLastNumber, signal);
    const gone = await database.run((db) => selectUnknownAccounts(db, candidates), signal);
    for (const account of gone) {
      for (let removed = batchSize; removed === batchSize;) {
        removed = await database.transaction(async (trx) => {
          const older = await selectOlderOfAccount(trx, account, (last + 1) * snapshotsPerStream, batchSize);
          await deleteObjects(trx, older.toSorted());
          return older.length;
        }, signal);
      }
      await database.run((db) => deleteForgottenVersions(db, account), signal);
    }
    return gone.length;
  }
}

function accountsOf({ objects, deleted, snapshots, versions }: CacheWrite): string[] {
  return [
    ...new Set([
      ...objects.map(({ account }) => account),
      ...deleted.map(({ account }) => account),
      ...snapshots.map(({ scope }) => scope.account),
      ...versions.map(({ scope }) => scope.account),
    ]),
  ];
}

function isHeldBy(holder: CachingHolder | undefined, { agent, streams }: CacheWrite, account: string): boolean {
  return holder?.agentId === agent.agentId && holder.epoch === agent.epoch && holder.stream === streams.get(account);
}

function bodyBytes({ object }: ObjectOfAgent): number {
  return object.body.length;
}
