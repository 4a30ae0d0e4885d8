/**
 * Adopts operations whose originating instance died: one survivor continues them, and an operation that nobody
 * continues still gets a recorded outcome. So every accepted operation has exactly one outcome, no matter which process
 * was killed.
 */

import { GatewayError, messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { repeat } from '../../core/repeat.js';
import { jittered } from '../../core/retry.js';
import type { FinishedOperation, UnfinishedOperation } from '../../store/operations/operation-record.js';
import type { OperationStore } from '../../store/operations/operations.js';
import { requestOf } from './operation.js';
import type { Recorder } from './recorder.js';
import type { Acceptance } from './acceptance.js';

export interface AdoptionOptions {
  readonly instanceId: string;
  readonly operations: Pick<OperationStore, 'unfinished' | 'adopt'>;
  readonly acceptance: Acceptance;
  readonly recorder: Recorder;
  readonly logger: Logger;
  /**
   * Time after its deadline at which an operation is swept, in ms: an originating instance that is alive has long ended
   * it.
   */
  readonly overdueMs: number;
}

/** Each operation has up to 4 MB. */
const pageSize = 50;
const sweepMs = 5_000;

export class Adoption {
  readonly #options: AdoptionOptions;

  constructor(options: AdoptionOptions) {
    this.#options = options;
  }

  /**
   * Continues the unfinished operations of an instance: a dead one, or this one's predecessor with the same id.
   * @throws GatewayError `dependency-unavailable`
   */
  async adoptFrom(instanceId: string, signal: AbortSignal): Promise<void> {
    const { operations, acceptance, logger } = this.#options;
    const own = this.#options.instanceId;
    let adopted = 0;
    let after = '';
    for (;;) {
      const page = await operations.unfinished({ receivedByInstanceId: instanceId, after, limit: pageSize }, signal);
      // This comes first: an instance that only seemed dead must no longer send them to any agent.
      await operations.adopt(
        page.map(({ id }) => id),
        own,
        signal,
      );
      for (const operation of page) {
        if (operation.timeLeftMs > 0 && this.#adopt(acceptance, operation)) adopted += 1;
        after = operation.id;
      }
      if (page.length < pageSize) break;
    }
    if (adopted > 0)
      logger.info({ deadInstanceId: instanceId, operations: adopted }, 'operations of a dead instance taken over');
  }

  /** Ends operations that are long overdue, until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    const { logger } = this.#options;
    const failed = (error: unknown): void => {
      logger.debug({ error: messageOf(error) }, 'could not end overdue operations; retrying');
    };
    const pauseMs = (): number => jittered(sweepMs, 0.5);
    return repeat({ pauseMs, failed }, signal, () => this.#sweep(signal));
  }

  #adopt(acceptance: Acceptance, operation: UnfinishedOperation): boolean {
    try {
      return acceptance.adopt(operation);
    } catch (error) {
      // Too many at once: the sweep ends those that no instance could take over.
      if (error instanceof GatewayError && error.code === 'overloaded') return false;
      throw error;
    }
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    const { operations, acceptance, recorder, overdueMs, logger } = this.#options;
    const overdue = await operations.unfinished({ overdueMs, limit: pageSize }, signal);
    const orphaned = overdue.filter(({ id }) => acceptance.originated(id) === undefined);
    const ended = await Promise.all(orphaned.map((operation) => recorder.end(this.#lost(operation))));
    const count = ended.filter(Boolean).length;
    if (count > 0) logger.warn({ operations: count }, 'no instance waits for these operations; they end as agent lost');
  }

  #lost(operation: UnfinishedOperation): FinishedOperation {
    const { id, operationType, account, digest, receivedTime, receivedByInstanceId, timeoutMs, timeLeftMs } = operation;
    // By the database's clock: this instance's clock may differ from that of the instance that recorded the start.
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
      errorMessage: `instance ${receivedByInstanceId} was lost while it waited for the result; the operation may have been executed`,
      ...requestOf(operation),
    };
  }
}
