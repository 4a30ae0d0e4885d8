/** kubesvc_ops and kubesvc_ops_history: an operation is pending in the first until its one outcome is in the second. */

import { randomUUID } from 'node:crypto';

import { batches } from '../../core/batches.js';
import { byteBatches } from '../sql/byte-batches.js';
import type { Database } from '../sql/database.js';
import { isDuplicateKey } from '../sql/sql-error.js';
import type {
  FinalOutcome,
  FinishedOperation,
  InsertOutcome,
  OperationBinding,
  OperationFilter,
  FoundOperations,
  OperationRecord,
  StoredOperation,
  UnfinishedFilter,
  UnfinishedOperation,
} from './operation-record.js';
import { readFailures, type Failures } from './failures.js';
import {
  deleteHistory,
  insertHistory,
  selectHistoryKeys,
  selectOldHistory,
  upsertRefusals,
} from './history-statements.js';
import {
  adoptPending,
  bindPending,
  deletePending,
  insertPending,
  selectPendingKeys,
  selectUnfinished,
  withdrawPending,
} from './pending-statements.js';
import { selectPage } from './search-statements.js';
import { selectOutcomeCounts, type OutcomeCount } from './outcome-statements.js';
import { selectRecords } from './record-statements.js';

export class OperationStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Stores operations whose ids were never used before.
   * @returns one outcome for each, in the same order; the second of two with the same id finds the first
   */
  async insert(operations: readonly StoredOperation[], signal?: AbortSignal): Promise<readonly InsertOutcome[]> {
    const first = new Map<string, StoredOperation>();
    for (const operation of operations) if (!first.has(operation.id)) first.set(operation.id, operation);
    const sorted = [...first.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const outcomes = new Map<string, InsertOutcome>();
    for (const batch of byteBatches(sorted, this.#database.statementBytes, bodyBytes)) {
      for (const outcome of await this.#insert(batch, signal)) outcomes.set(outcome.id, outcome);
    }
    return operations.map((operation) => {
      const outcome = outcomes.get(operation.id);
      if (outcome === undefined) throw new Error(`no outcome for operation ${operation.id}`);
      const original = first.get(operation.id);
      if (outcome.status !== 'inserted' || original === undefined || original === operation) return outcome;
      return { id: operation.id, status: 'pending', digest: original.digest };
    });
  }

  /**
   * Stores operations whose ids were just made, so that none can have been used before: one statement, no questions.
   */
  async insertNew(operations: readonly StoredOperation[], signal?: AbortSignal): Promise<void> {
    const { dialect } = this.#database;
    for (const batch of byteBatches(operations, this.#database.statementBytes, bodyBytes)) {
      await this.#database.run((db) => insertPending(db, dialect, batch, ''), signal);
    }
  }

  /**
   * Records outcomes of operations that were never pending (reading ones); an id that is there already is left alone.
   */
  async note(records: readonly FinishedOperation[], signal?: AbortSignal): Promise<void> {
    const { dialect } = this.#database;
    for (const batch of batches(records)) {
      await this.#database.run((db) => insertHistory(db, dialect, batch, ''), signal);
    }
  }

  /**
   * Records outcomes and ends the pending state, in one transaction for 500. The first outcome of an id stays for ever.
   * @returns the ids whose recorded outcome is the one given here
   */
  async finish(records: readonly FinishedOperation[], signal?: AbortSignal): Promise<ReadonlySet<string>> {
    const first = new Map<string, FinishedOperation>();
    for (const record of records) if (!first.has(record.operationId)) first.set(record.operationId, record);
    // In the order of ids, so that two transactions never wait for each other.
    const sorted = [...first.values()].toSorted((a, b) => (a.operationId < b.operationId ? -1 : 1));
    const won = new Set<string>();
    const { dialect } = this.#database;
    for (const batch of batches(sorted)) {
      const ids = batch.map((record) => record.operationId);
      const token = randomUUID();
      if (await this.#finishNew(batch, ids, token, signal)) {
        for (const id of ids) won.add(id);
        continue;
      }
      const keys = await this.#database.transaction(async (trx) => {
        await insertHistory(trx, dialect, batch, token);
        await deletePending(trx, ids);
        return selectHistoryKeys(trx, ids);
      }, signal);
      for (const key of keys) if (key.write_token === token) won.add(key.operation_id);
    }
    return won;
  }

  /**
   * The usual case: none of them has an outcome yet, so that nothing needs to be asked.
   * @returns false: one has, and nothing was done; also if an earlier commit succeeded without an answer
   */
  #finishNew(
    records: readonly FinishedOperation[],
    ids: readonly string[],
    token: string,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const { dialect } = this.#database;
    return this.#database.run(async (db) => {
      try {
        await db.transaction().execute(async (trx) => {
          await insertHistory(trx, dialect, records, token, 'fail');
          await deletePending(trx, ids);
        });
        return true;
      } catch (error) {
        if (isDuplicateKey(error)) return false;
        throw error;
      }
    }, signal);
  }

  /** Records refused requests; a record that is there already is replaced. */
  async countRefusals(records: readonly FinishedOperation[], signal?: AbortSignal): Promise<void> {
    const { dialect } = this.#database;
    for (const batch of batches(records)) await this.#database.run((db) => upsertRefusals(db, dialect, batch), signal);
  }

  /**
   * Binds a pending operation to the only process that may get it; call this before it is sent.
   * @returns false if another instance continues it, or it has ended: then it must not be sent to any other process
   */
  bind(id: string, binding: OperationBinding, signal?: AbortSignal): Promise<boolean> {
    return this.#database.run((db) => bindPending(db, id, binding), signal);
  }

  /** Takes pending operations over from their originating instance, which can no longer bind or withdraw them. */
  async adopt(ids: readonly string[], instanceId: string, signal?: AbortSignal): Promise<void> {
    await this.#database.run((db) => adoptPending(db, ids, instanceId), signal);
  }

  /**
   * Withdraws a pending operation of this instance that no owner took: its id may be used again.
   * @returns false if another instance continues it
   */
  withdraw(id: string, receivedByInstanceId: string, signal?: AbortSignal): Promise<boolean> {
    return this.#database.run((db) => withdrawPending(db, id, receivedByInstanceId), signal);
  }

  /** Pending or ended; undefined: never seen, or purged. */
  async find(id: string, signal?: AbortSignal): Promise<OperationRecord | undefined> {
    return (await this.#database.run((db) => selectRecords(db, [id]), signal)).get(id);
  }

  /** Pending and ended ones, newest first: those of the first page. */
  async list(filter: OperationFilter, signal?: AbortSignal): Promise<readonly OperationRecord[]> {
    return (await this.page(filter, signal)).records;
  }

  /** Pending and ended ones, newest first, and where the list goes on. */
  page(filter: OperationFilter, signal?: AbortSignal): Promise<FoundOperations> {
    return this.#database.run(async (db) => {
      const { ids, next } = await selectPage(db, filter);
      const records = await selectRecords(db, ids);
      // An operation that ends between the two parts of the first statement is in both; a Set keeps its first place.
      const found = [...new Set(ids)].flatMap((id) => records.get(id) ?? []);
      return { records: found, ...(next === undefined ? {} : { next }) };
    }, signal);
  }

  /** How many ended in which way, of those that started at `since` (ms UTC) or later, by steps of `stepMs`. */
  outcomeCounts(since: number, stepMs: number, signal?: AbortSignal): Promise<readonly OutcomeCount[]> {
    return this.#database.run((db) => selectOutcomeCounts(db, since, stepMs), signal);
  }

  /** Accounts whose operations have failed within the last hour. */
  failures(signal?: AbortSignal): Promise<Failures> {
    return this.#database.run((db) => readFailures(db, this.#database.dialect), signal);
  }

  /** Pending ones in the order of their ids. */
  async unfinished(filter: UnfinishedFilter, signal?: AbortSignal): Promise<readonly UnfinishedOperation[]> {
    if (filter.accounts?.length === 0) return [];
    return this.#database.run((db) => selectUnfinished(db, this.#database.dialect, filter), signal);
  }

  /**
   * Deletes `limit` ended ones at most that started longer than `ageMs` ago, by the database's clock.
   * @returns how many
   */
  async purge(ageMs: number, limit: number, signal?: AbortSignal): Promise<number> {
    return this.#database.run(async (db) => {
      let purged = 0;
      // MySQL takes no LIMIT in a subquery of a DELETE.
      for (const batch of batches(await selectOldHistory(db, this.#database.dialect, ageMs, limit))) {
        purged += await deleteHistory(db, batch);
      }
      return purged;
    }, signal);
  }

  async #insert(batch: readonly StoredOperation[], signal?: AbortSignal): Promise<readonly InsertOutcome[]> {
    const { dialect } = this.#database;
    const ids = batch.map((operation) => operation.id);
    // The same in every attempt, so that an attempt after an unconfirmed commit recognises its own rows.
    const token = randomUUID();
    return this.#database.transaction(async (trx) => {
      await insertPending(trx, dialect, batch, token);
      const pending = new Map((await selectPendingKeys(trx, ids)).map((row) => [row.id, row]));
      // Read after inserting: an operation that has ended before is found here, no matter which instance ended it, or
      // how late.
      const ended = new Map((await selectHistoryKeys(trx, ids)).map((row) => [row.operation_id, row]));
      const reused = ids.filter((id) => ended.has(id) && pending.get(id)?.write_token === token);
      await deletePending(trx, reused);
      return ids.map((id): InsertOutcome => {
        const end = ended.get(id);
        if (end !== undefined) {
          const outcome = end.final_outcome === null ? {} : { finalOutcome: end.final_outcome as FinalOutcome };
          return { id, status: 'finished', digest: end.digest ?? '', ...outcome };
        }
        const found = pending.get(id);
        if (found === undefined) throw new Error(`operation ${id} was not stored`);
        return found.write_token === token
          ? { id, status: 'inserted' }
          : { id, status: 'pending', digest: found.digest };
      });
    }, signal);
  }
}

function bodyBytes({ body }: StoredOperation): number {
  return body.byteLength;
}
