/**
 * Operations whose originating instance died: one survivor goes on with them, and what nobody goes on with ends in the
 * record all the same. So every operation that was accepted has exactly one outcome, whatever was killed.
 */

import { GatewayError, messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import { jittered } from '../../core/retry.js';
import type { FinishedOperation, UnfinishedOperation } from '../../store/operations/operation-record.js';
import type { OperationStore } from '../../store/operations/operations.js';
import type { Recorder } from './recorder.js';
import type { Router } from './router.js';

export interface AdoptionOptions {
  readonly instanceId: string;
  readonly operations: Pick<OperationStore, 'unfinished' | 'adopt'>;
  readonly router: Router;
  readonly recorder: Recorder;
  readonly logger: Logger;
  /** An operation is swept this long after its deadline: its originating instance has ended it long since, in ms. */
  readonly overdueMs: number;
}

/** Each has up to 4 MB. */
const pageSize = 50;
const sweepMs = 5_000;

export class Adoption {
  readonly #options: AdoptionOptions;

  constructor(options: AdoptionOptions) {
    this.#options = options;
  }

  /**
   * Goes on with what an instance left unfinished: a dead one, or this one's own predecessor of the same id.
   * @throws GatewayError `dependency-unavailable`
   */
  async adoptFrom(instanceId: string, signal: AbortSignal): Promise<void> {
    const { operations, router, logger } = this.#options;
    const own = this.#options.instanceId;
    let adopted = 0;
    let after = '';
    for (;;) {
      const page = await operations.unfinished({ receivedByInstanceId: instanceId, after, limit: pageSize }, signal);
      // First of all: an instance that only seemed dead must not give them to anybody else.
      await operations.adopt(
        page.map(({ id }) => id),
        own,
        signal,
      );
      for (const operation of page) {
        if (operation.timeLeftMs > 0 && this.#adopt(router, operation)) adopted += 1;
        after = operation.id;
      }
      if (page.length < pageSize) break;
    }
    if (adopted > 0) logger.info({ deadInstanceId: instanceId, operations: adopted }, 'operations taken over');
  }

  /** Ends what is long overdue, until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    const { logger } = this.#options;
    const failed = (error: unknown): void => {
      logger.debug({ error: messageOf(error) }, 'overdue operations not swept');
    };
    const pauseMs = (): number => jittered(sweepMs, 0.5);
    return repeat({ pauseMs, failed }, signal, () => this.#sweep(signal));
  }

  #adopt(router: Router, operation: UnfinishedOperation): boolean {
    try {
      return router.adopt(operation);
    } catch (error) {
      // Too many at once: the sweep records those that nobody could take over.
      if (error instanceof GatewayError && error.code === 'overloaded') return false;
      throw error;
    }
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    const { operations, router, recorder, overdueMs, logger } = this.#options;
    const overdue = await operations.unfinished({ overdueMs, limit: pageSize }, signal);
    const orphaned = overdue.filter(({ id }) => router.originated(id) === undefined);
    const ended = await Promise.all(orphaned.map((operation) => recorder.end(this.#lost(operation))));
    const count = ended.filter(Boolean).length;
    if (count > 0)
      logger.warn({ operations: count }, 'operations without an instance that waits for them ended as lost');
  }

  #lost(operation: UnfinishedOperation): FinishedOperation {
    const { id, operationType, account, digest, receivedTime, receivedByInstanceId, timeoutMs, timeLeftMs } = operation;
    // By the database's clock: this instance's may differ from the one that told when it began.
    const totalDurationMs = timeoutMs - timeLeftMs;
    return {
      operationId: id,
      operationType,
      account,
      digest,
      startTime: receivedTime,
      endTime: receivedTime + totalDurationMs,
      totalDurationMs,
      finalOutcome: 'agent lost',
      receivedBy: { instanceId: receivedByInstanceId, time: receivedTime },
      errorMessage: `instance ${receivedByInstanceId} was lost while it waited for the result; whether the operation was done is not known`,
    };
  }
}
