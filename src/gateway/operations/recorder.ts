/**
 * Writes operations and their outcomes to SQL in groups: all that one replica has to write at a moment is one
 * statement.
 */

import { BoundedWarnings } from '../../core/bounded-warnings.js';
import { retry, type RetryOptions } from '../../core/retry.js';
import { GroupCommit, isRefusal } from '../../core/group-commit.js';
import type { Logger } from '../../core/logger.js';
import { GatewayError, messageOf } from '../../core/errors.js';
import type { FinishedOperation, InsertOutcome, StoredOperation } from '../../store/operations/operation-record.js';
import type { OperationStore } from '../../store/operations/operations.js';
import type { Metrics } from '../telemetry/metrics.js';

/** What is written. */
type RecordedOperations = Pick<OperationStore, 'insert' | 'insertNew' | 'withdraw' | 'finish' | 'note'>;

export interface RecorderOptions {
  readonly operations: RecordedOperations;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Aborted when the gateway stops. */
  readonly stopping: AbortSignal;
}

const batchSize = 200;
const queueLimit = 20_000;
/** How often an outcome is written again if the database answers but refuses it. */
const refusedAttempts = 5;
/** Below the 16 MB that MariaDB accepts in one packet by default, as base64. */
const batchBytes = 4 << 20;
/** Nobody waits for these, so they are gathered a little longer. */
const noteMs = 50;

export class Recorder {
  readonly #options: RecorderOptions;
  /** For operations with ids that callers chose, and with ids that were made here. */
  readonly #chosen: GroupCommit<StoredOperation, InsertOutcome>;
  readonly #made: GroupCommit<StoredOperation, undefined>;
  readonly #ends: GroupCommit<FinishedOperation, boolean>;
  readonly #notes: GroupCommit<FinishedOperation, undefined>;

  readonly #warnings: BoundedWarnings;

  #unrecorded = 0;
  readonly #lost = (error: unknown, { operationId }: FinishedOperation): void => {
    this.#options.metrics.recordsLost.inc();
    const fields = { operationId, error: messageOf(error) };
    this.#warnings.warn(fields, 'outcome of an operation not recorded; it is lost');
  };

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#warnings = new BoundedWarnings(options.logger);
    const { operations } = options;
    const shared = { batchSize, queueLimit, repeatable: true };
    const pending = { ...shared, name: 'kubesvc_ops', batchBytes, bytesOf: ({ body }: StoredOperation) => body.length };
    const history = { ...shared, name: 'kubesvc_ops_history' };
    this.#chosen = new GroupCommit({ ...pending, write: (items) => operations.insert(items) });
    this.#made = new GroupCommit({
      ...pending,
      concurrency: 2,
      write: (items) => all(items, operations.insertNew(items)),
    });
    this.#ends = new GroupCommit({ ...history, concurrency: 2, write: (items) => finish(operations, items) });
    this.#notes = new GroupCommit({
      ...history,
      gatherMs: noteMs,
      write: (items) => all(items, operations.note(items)),
    });
  }

  /** Stores an operation before it is sent. @throws GatewayError `overloaded`, `dependency-unavailable` */
  begin(operation: StoredOperation): Promise<InsertOutcome> {
    return this.#chosen.add(operation);
  }

  /** The same for an operation whose id was just made. */
  async beginNew(operation: StoredOperation): Promise<void> {
    await this.#made.add(operation);
  }

  /**
   * Withdraws an operation that no owner took, so that its id can be used again.
   * @returns false if another instance continues it
   */
  withdraw(operationId: string, receivedByInstanceId: string): Promise<boolean> {
    return this.#options.operations.withdraw(operationId, receivedByInstanceId);
  }

  /**
   * Records an outcome; the first one of an operation counts.
   * @returns whether this was the first
   * @throws GatewayError `overloaded`, `dependency-unavailable`
   */
  end(record: FinishedOperation): Promise<boolean> {
    return this.#ends.add(record);
  }

  /**
   * Records an outcome as soon as the database accepts it: for outcomes that a caller already knows, which must not be
   * lost because the database is unavailable for a while. An outcome that the database refuses is given up.
   * @returns whether this was the first outcome; also false if an earlier commit succeeded without an answer
   * @throws GatewayError the refusal; `overloaded`
   */
  async endEventually(record: FinishedOperation): Promise<boolean> {
    if (this.#unrecorded >= queueLimit) throw new GatewayError('overloaded', 'too many outcomes wait for the database');
    this.#unrecorded += 1;
    try {
      return await retry(() => this.#ends.add(record), this.#retries(record));
    } finally {
      this.#unrecorded -= 1;
    }
  }

  #retries({ operationId }: FinishedOperation): RetryOptions {
    let refused = 0;
    return {
      signal: this.#options.stopping,
      attempts: 10_000,
      retryable: (error) => {
        if (isRefusal(error)) refused += 1;
        return refused < refusedAttempts;
      },
      onRetry: (error, attempt, waitMs) => {
        // While the database is unavailable, its pool and the lease log that once for all operations.
        if (!isRefusal(error)) return;
        const fields = { operationId, attempt, waitMs, error: messageOf(error) };
        this.#options.logger.warn(fields, 'the database refused the outcome of an operation; retrying');
      },
    };
  }

  /**
   * Records an outcome that nobody waits for.
   * @param durable false: it never was pending; it is written together with others, moments later, and lost if the
   *   database does not take it then
   */
  endLater(record: FinishedOperation, durable: boolean): void {
    if (!durable) this.#notes.leave(record, this.#lost);
    else {
      this.endEventually(record).catch((error: unknown) => {
        this.#lost(error, record);
      });
    }
  }

  /** Items that wait to be written, for metrics. */
  get queueLengths(): { readonly operations: number; readonly outcomes: number; readonly notes: number } {
    return {
      operations: this.#chosen.queueLength + this.#made.queueLength,
      outcomes: this.#ends.queueLength,
      notes: this.#notes.queueLength,
    };
  }

  /** Resolves once everything handed in is written or has failed. */
  async idle(): Promise<void> {
    await Promise.all([this.#chosen.idle(), this.#made.idle(), this.#ends.idle(), this.#notes.idle()]);
  }
}

/** The same outcome for each of them. */
async function all(items: readonly unknown[], written: Promise<void>): Promise<undefined[]> {
  await written;
  return items.map(() => undefined);
}

async function finish(operations: RecordedOperations, records: readonly FinishedOperation[]): Promise<boolean[]> {
  const first = new Set(await operations.finish(records));
  return records.map(({ operationId }) => first.has(operationId));
}
