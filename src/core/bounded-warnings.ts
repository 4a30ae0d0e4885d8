/** Warnings that somebody else can cause at will: one in a period is written, the others are counted. */

import type { Logger } from './logger.js';

const defaultPeriodMs = 60_000;

export class BoundedWarnings {
  readonly #logger: Logger;
  readonly #periodMs: number;
  /** When the running period ends, on the monotonic clock. */
  #until = Number.NEGATIVE_INFINITY;
  #unwritten = 0;

  /** @param periodMs at most one line in so long, in ms */
  constructor(logger: Logger, periodMs = defaultPeriodMs) {
    this.#logger = logger;
    this.#periodMs = periodMs;
  }

  /** Writes the line, with the number of those before that were not written as `unwritten`; or only counts it. */
  warn(fields: Readonly<Record<string, unknown>>, message: string): void {
    const now = performance.now();
    if (now < this.#until) {
      this.#unwritten += 1;
      return;
    }
    const unwritten = this.#unwritten;
    this.#until = now + this.#periodMs;
    this.#unwritten = 0;
    this.#logger.warn(unwritten === 0 ? fields : { ...fields, unwritten }, message);
  }
}
