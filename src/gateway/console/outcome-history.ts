/** How operations of the last hour ended, minute by minute. */

import type { OperationStore } from '../../store/operations/operations.js';
import type { OutcomeChart, OutcomeStep } from './answers.js';

const stepMs = 60_000;
const steps = 60;
/** Operations that started longer ago have ended, but for a few, which are seen in the next complete reading. */
const lateSteps = 5;
/** Every so many steps everything is read. */
const completeEvery = 10;

export class OutcomeHistory {
  readonly #operations: Pick<OperationStore, 'outcomeCounts'>;
  readonly #now: () => number;
  /** By the start of the step, Unix ms. */
  #known = new Map<number, OutcomeStep>();
  /** Number of the step in which everything was read last. */
  #completeAt = -Infinity;

  /** @param now wall clock, Unix ms */
  constructor(operations: Pick<OperationStore, 'outcomeCounts'>, now: () => number) {
    this.#operations = operations;
    this.#now = now;
  }

  /**
   * Counts the latest minutes anew, and now and then all of them, since the count costs as much as there were operations.
   * @throws GatewayError of the database
   */
  async read(signal: AbortSignal): Promise<OutcomeChart> {
    const current = Math.floor(this.#now() / stepMs);
    const first = current - steps + 1;
    const complete = Math.abs(current - this.#completeAt) >= completeEvery;
    const from = complete ? first : current - lateSteps;
    const counts = await this.#operations.outcomeCounts(from * stepMs, stepMs, signal);
    const known = new Map([...this.#known].filter(([time]) => time >= first * stepMs && time < from * stepMs));
    for (const { outcome, time, count } of counts) {
      const { completed, failed } = known.get(time) ?? { completed: 0, failed: 0 };
      known.set(
        time,
        outcome === 'completed' ? { completed: completed + count, failed } : { completed, failed: failed + count },
      );
    }
    this.#known = known;
    if (complete) this.#completeAt = current;
    const start = first * stepMs;
    return {
      start,
      stepMs,
      steps: Array.from(
        { length: steps },
        (_, index) => known.get(start + index * stepMs) ?? { completed: 0, failed: 0 },
      ),
    };
  }
}
