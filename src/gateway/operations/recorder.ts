/**
 * Writes operations and their outcomes to SQL, in groups: what one replica has to write at a moment is one statement.
 */

import { GroupCommit } from '../../core/group-commit.js';
import type { Logger } from '../../core/logger.js';
import { messageOf } from '../../core/errors.js';
import type { FinishedOperation, InsertOutcome, StoredOperation } from '../../store/operation-record.js';
import type { OperationStore } from '../../store/operations.js';
import type { Metrics } from '../telemetry/metrics.js';

export interface RecorderOptions {
  readonly operations: OperationStore;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const batchSize = 200;
const queueLimit = 20_000;

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #inserts: GroupCommit<StoredOperation, InsertOutcome>;
  readonly #ends: GroupCommit<FinishedOperation, boolean>;

  constructor(options: RecorderOptions) {
    this.#options = options;
    const { operations } = options;
    this.#inserts = new GroupCommit({
      name: 'kubesvc_ops',
      write: (items) => operations.insert(items),
      batchSize,
      queueLimit,
    });
    this.#ends = new GroupCommit({
      name: 'kubesvc_ops_history',
      write: (items) => finish(operations, items),
      batchSize,
      queueLimit,
    });
  }

  /** Stores an operation before it is sent. @throws GatewayError `overloaded`, `dependency-unavailable` */
  begin(operation: StoredOperation): Promise<InsertOutcome> {
    return this.#inserts.add(operation);
  }

  /** Takes back an operation that nobody took, so that its id can be used again. */
  async withdraw(operationId: string): Promise<void> {
    await this.#options.operations.withdraw(operationId);
  }

  /**
   * Records an outcome; the first one of an operation counts.
   * @returns whether this was the first
   * @throws GatewayError `overloaded`, `dependency-unavailable`
   */
  end(record: FinishedOperation): Promise<boolean> {
    return this.#ends.add(record);
  }

  /** Records an outcome that nobody waits for. */
  endLater(record: FinishedOperation): void {
    this.end(record).catch((error: unknown) => {
      this.#options.metrics.recordsLost.inc();
      this.#options.logger.warn(
        { operationId: record.operationId, error: messageOf(error) },
        'outcome of an operation not recorded',
      );
    });
  }

  /** Resolves once all that was handed in is written or has failed. */
  async idle(): Promise<void> {
    await this.#inserts.idle();
    await this.#ends.idle();
  }
}

async function finish(operations: OperationStore, records: readonly FinishedOperation[]): Promise<boolean[]> {
  const first = new Set(await operations.finish(records));
  return records.map(({ operationId }) => first.has(operationId));
}
