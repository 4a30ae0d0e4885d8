/** One part of what is watched, read repeatedly for all watchers, and only once for concurrent callers. */

import { createHash } from 'node:crypto';
import { withDeadline } from '../../core/deadline.js';
import { GatewayError, toGatewayError } from '../../core/errors.js';

export interface SectionOptions<Value> {
  /** Its name in problems: "agents". */
  readonly name: string;
  readonly read: (signal: AbortSignal) => Promise<Value>;
  /** Least time between two readings, in ms; a long reading is followed by a pause of nine times its duration. */
  readonly periodMs: number;
  readonly stopping: AbortSignal;
  /** Wall clock, Unix ms. */
  readonly now: () => number;
  /** A clock that only goes forward, in ms; default: performance.now(). */
  readonly steadyTime?: () => number;
}

/** A section costs the database at most a tenth of one connection's time. */
const restFactor = 9;
const readTimeoutMs = 30_000;

export class Section<Value> {
  value: Value | undefined;
  /** Grows with each change of the value. */
  version = 0;
  /** Why the last reading failed, safe to show; undefined: it succeeded. */
  error: string | undefined;
  /** When the value was read last, Unix ms. */
  readTime: number | undefined;
  readonly #options: SectionOptions<Value>;
  readonly #steadyTime: () => number;
  #digest = '';
  /** By the steady clock. */
  #nextAt = 0;
  #reading: Promise<void> | undefined;

  constructor(options: SectionOptions<Value>) {
    this.#options = options;
    this.#steadyTime = options.steadyTime ?? (() => performance.now());
  }

  get name(): string {
    return this.#options.name;
  }

  /** Reads if it is due, or waits for the reading under way. Never rejects: see `error`. */
  async refresh(): Promise<void> {
    if (this.#reading === undefined && this.#steadyTime() < this.#nextAt) return;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  /** @throws GatewayError `dependency-unavailable` if it was never read */
  required(): Value {
    if (this.value !== undefined) return this.value;
    const { name } = this.#options;
    throw new GatewayError('dependency-unavailable', `${name} cannot be read: ${this.error ?? 'not yet'}`);
  }

  /** What was read last. @throws GatewayError `dependency-unavailable` if the last reading failed */
  current(): Value {
    const { name } = this.#options;
    if (this.error !== undefined)
      throw new GatewayError('dependency-unavailable', `${name} cannot be read: ${this.error}`);
    return this.required();
  }

  /** Something was changed: the next refresh() reads at once. */
  outdated(): void {
    this.#nextAt = 0;
  }

  async #read(): Promise<void> {
    const { name, read, periodMs, stopping, now } = this.#options;
    const startedAt = this.#steadyTime();
    try {
      const value = await withDeadline(readTimeoutMs, stopping, `reading ${name}`, read);
      const digest = createHash('sha1').update(JSON.stringify(value)).digest('base64');
      if (digest !== this.#digest) this.version += 1;
      this.#digest = digest;
      this.value = value;
      this.readTime = now();
      this.error = undefined;
    } catch (error) {
      this.error = toGatewayError(error).message;
    } finally {
      const endedAt = this.#steadyTime();
      this.#nextAt = endedAt + Math.max(periodMs, (endedAt - startedAt) * restFactor);
    }
  }
}
