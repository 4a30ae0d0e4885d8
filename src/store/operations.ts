/** kubesvc_ops and kubesvc_ops_history: an operation is pending in the first until its one outcome is in the second. */
import type { Database } from "./database.js";
import type {
  FinalOutcome,
  FinishedOperation,
  InsertOutcome,
  OperationRecord,
  StoredOperation,
} from "./operation-record.js";

export interface OperationFilter {
  /** Records on a page; 1 to 1,000. */
  readonly items: number;
  /** 0 is the first page. */
  readonly page: number;
  readonly account?: string;
  /** Leaves out pending ones. */
  readonly outcome?: FinalOutcome;
  /** Started at this time or later, in ms UTC. */
  readonly since?: number;
  /** Started before this time, in ms UTC. */
  readonly until?: number;
}

export interface UnfinishedFilter {
  readonly accounts?: readonly string[];
  readonly receivedByInstanceId?: string;
  /** Deadline before this time, in ms UTC. */
  readonly deadlineBefore?: number;
  /** Ids after this one: the last one of the page before. */
  readonly after?: string;
  /** Bounds the memory, too: each one may have 4 MB. */
  readonly limit: number;
}

const notYet = (...given: unknown[]): Promise<never> =>
  Promise.reject(new Error(`not yet ${given.length}`));

export class OperationStore {
  readonly #given: readonly unknown[];
  constructor(database: Database) {
    this.#given = [database];
  }

  /** Stores operations whose ids were never used before. @returns one outcome for each, in the same order */
  insert(
    operations: readonly StoredOperation[],
    signal?: AbortSignal,
  ): Promise<readonly InsertOutcome[]> {
    return notYet(this.#given, operations, signal);
  }

  /**
   * Records outcomes and ends the pending state, in one transaction. The first outcome of an id stays for ever.
   * @returns the ids whose recorded outcome is the one given here
   */
  finish(
    records: readonly FinishedOperation[],
    signal?: AbortSignal,
  ): Promise<ReadonlySet<string>> {
    return notYet(this.#given, records, signal);
  }

  find(id: string, signal?: AbortSignal): Promise<OperationRecord | undefined> {
    return notYet(this.#given, id, signal);
  }

  /** Pending and ended ones, newest first. */
  list(
    filter: OperationFilter,
    signal?: AbortSignal,
  ): Promise<readonly OperationRecord[]> {
    return notYet(this.#given, filter, signal);
  }

  /** Pending ones in the order of their ids. */
  unfinished(
    filter: UnfinishedFilter,
    signal?: AbortSignal,
  ): Promise<readonly StoredOperation[]> {
    return notYet(this.#given, filter, signal);
  }

  /** Deletes `limit` ended ones at most that started before `beforeMs`. @returns how many */
  purge(
    beforeMs: number,
    limit: number,
    signal?: AbortSignal,
  ): Promise<number> {
    return notYet(this.#given, beforeMs, limit, signal);
  }
}
