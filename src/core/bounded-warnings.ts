/** Warnings that others can cause at will: each message is written once per period, the rest are only counted. */

import type { Logger } from './logger.js';

const defaultPeriodMs = 60_000;

export class BoundedWarnings {
  readonly #logger: Logger;
  readonly #periodMs: number;
  /** By message: when its running period ends, on the monotonic clock, and how many were not written in it. */
  readonly #periods = new Map<string, { readonly until: number; unwritten: number }>();

  /** @param periodMs each message is written at most once in this time, in ms */
  constructor(logger: Logger, periodMs = defaultPeriodMs) {
    this.#logger = logger;
    this.#periodMs = periodMs;
  }

  /**
   * Writes the line, with the number of those before that were not written as `unwritten`; or only counts it.
   * @param message one of few: each is remembered
   */
  warn(fields: Readonly<Record<string, unknown>>, message: string): void {
    const now = performance.now();
    const period = this.#periods.get(message);
    if (period !== undefined && now < period.until) {
      period.unwritten += 1;
      return;
    }
    const { unwritten } = period ?? { unwritten: 0 };
    this.#periods.set(message, { until: now + this.#periodMs, unwritten: 0 });
    this.#logger.warn(unwritten === 0 ? fields : { ...fields, unwritten }, message);
  }
}
