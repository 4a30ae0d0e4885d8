/**
 * Pending waits by id, in one bounded table with one exit. A result, the deadline and a cancellation all take() the
 * entry: the one that gets it settles it, so no wait is answered twice and no entry stays behind.
 */

import { GatewayError } from './errors.js';

/** Taken out of the table: its holder alone settles the promise. */
export interface TakenEntry<Value, Context> {
  readonly context: Context;
  resolve(value: Value): void;
  reject(error: GatewayError): void;
}

interface Entry<Value, Context> extends TakenEntry<Value, Context> {
  readonly promise: Promise<Value>;
  readonly timer: NodeJS.Timeout;
  readonly bytes: number;
}

export interface PendingLimits {
  /** Entries at most. */
  readonly entries: number;
  /** Bytes of all entries at most, but for a single one; default: no limit. */
  readonly bytes?: number;
}

export class Pending<Value, Context> {
  readonly #entries = new Map<string, Entry<Value, Context>>();
  readonly #limits: PendingLimits;
  #bytes = 0;

  /** @param limits beyond them add() throws `overloaded` */
  constructor(limits: PendingLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  ids(): string[] {
    return [...this.#entries.keys()];
  }

  context(id: string): Context | undefined {
    return this.#entries.get(id)?.context;
  }

  /** The wait that is under way for this id, if one is. */
  promise(id: string): Promise<Value> | undefined {
    return this.#entries.get(id)?.promise;
  }

  /**
   * Starts to wait for `id`. At the deadline the entry is taken and handed to `onTimeout`, which settles it.
   * @param timeoutMs from now
   * @param bytes what the entry keeps in memory
   * @throws GatewayError `overloaded` at the limits; `operation-conflict` when the id is waited for already
   */
  add(
    id: string,
    context: Context,
    timeoutMs: number,
    onTimeout: (taken: TakenEntry<Value, Context>) => void,
    bytes = 0,
  ): Promise<Value> {
    if (this.#entries.has(id)) {
      throw new GatewayError('operation-conflict', `operation ${id} is already under way`, { operationId: id });
    }
    const { entries: most, bytes: mostBytes = Number.POSITIVE_INFINITY } = this.#limits;
    const { size } = this.#entries;
    if (size >= most) throw overloaded(id, `${String(most)} operations`);
    if (size > 0 && this.#bytes + bytes > mostBytes) throw overloaded(id, `operations of ${String(this.#bytes)} bytes`);
    let resolve!: (value: Value) => void;
    let reject!: (error: GatewayError) => void;
    const promise = new Promise<Value>((onValue, onError) => {
      resolve = onValue;
      reject = onError;
    });
    // The caller of add() may look at the promise only after it has settled, or never.
    promise.catch(() => undefined);
    const timer = setTimeout(() => {
      const taken = this.take(id);
      if (taken !== undefined) onTimeout(taken);
    }, timeoutMs);
    this.#entries.set(id, { context, promise, resolve, reject, timer, bytes });
    this.#bytes += bytes;
    return promise;
  }

  /** Takes the entry out; undefined if nothing waits for the id, or no longer. */
  take(id: string): TakenEntry<Value, Context> | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    this.#entries.delete(id);
    this.#bytes -= entry.bytes;
    clearTimeout(entry.timer);
    return entry;
  }
}

function overloaded(operationId: string, what: string): GatewayError {
  const message = `${what} are under way on this instance; try again later`;
  return new GatewayError('overloaded', message, { operationId, retryAfterMs: 1_000 });
}
