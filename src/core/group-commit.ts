/**
 * Group commit: single items in, batches out. While one batch is being written the next one gathers, so the busier
 * it is the fewer round trips an item costs, and a lone item waits for nobody. (The technique of database logs:
 * DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984.)
 */

import { setTimeout as delay } from 'node:timers/promises';
import { GatewayError, toGatewayError } from './errors.js';

export interface GroupCommitOptions<Item, Outcome> {
  /** What is written, for error messages. */
  readonly name: string;
  /** Writes a batch; gives one outcome per item, in order. */
  readonly write: (items: readonly Item[]) => Promise<readonly Outcome[]>;
  /** Items in one batch at most. */
  readonly batchSize: number;
  /** Bytes in one batch at most, but for a single item that has more; default: no limit. */
  readonly batchBytes?: number;
  readonly bytesOf?: (item: Item) => number;
  /** How long items gather before a batch is begun, in ms; default: only those of one turn of the event loop. */
  readonly gatherMs?: number;
  /** Batches that are written at the same time; default 1. */
  readonly concurrency?: number;
  /** Items waiting at most; beyond it add() fails with `overloaded`. */
  readonly queueLimit: number;
  /**
   * Whether a write may be repeated: then a batch that is refused is written again in halves, so that an item at fault
   * does not take its neighbours along. Default false.
   */
  readonly repeatable?: boolean;
}

interface Waiting<Item, Outcome> {
  readonly item: Item;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Whether the items themselves may be at fault, and not the path to the database. */
export function isRefusal(error: unknown): boolean {
  const { code } = toGatewayError(error);
  return code === 'internal' || code === 'too-large';
}

function ignore(): void {
  // Nothing waits for it.
}

export class GroupCommit<Item, Outcome> {
  readonly #options: GroupCommitOptions<Item, Outcome>;
  readonly #concurrency: number;
  readonly #writers = new Set<Promise<void>>();
  #queue: Waiting<Item, Outcome>[] = [];
  #writing = 0;
  /** Whether a writer is about to take the waiting items. */
  #gathering = false;

  constructor(options: GroupCommitOptions<Item, Outcome>) {
    this.#options = options;
    this.#concurrency = options.concurrency ?? 1;
  }

  get queueLength(): number {
    return this.#queue.length;
  }

  /**
   * @returns the item's outcome once its batch is written
   * @throws GatewayError `overloaded` when the queue is full; whatever the write threw
   */
  add(item: Item): Promise<Outcome> {
    return new Promise<Outcome>((resolve, reject) => {
      this.#enqueue({ item, resolve, reject });
    });
  }

  /** Adds an item without waiting for its outcome; `failed` is called if it was not written. */
  leave(item: Item, failed: (error: unknown, item: Item) => void): void {
    this.#enqueue({
      item,
      resolve: ignore,
      reject: (error) => {
        failed(error, item);
      },
    });
  }

  #enqueue(waiting: Waiting<Item, Outcome>): void {
    if (this.#queue.length >= this.#options.queueLimit) {
      const message = `too many writes are queued (${this.#options.name})`;
      waiting.reject(new GatewayError('overloaded', message, { retryAfterMs: 1_000 }));
      return;
    }
    this.#queue.push(waiting);
    this.#startIfDue();
  }

  /** Resolves once everything added so far is written or has failed. */
  async idle(): Promise<void> {
    while (this.#writers.size > 0) await Promise.all(this.#writers);
  }

  #startIfDue(): void {
    if (this.#gathering || this.#writing >= this.#concurrency || this.#queue.length === 0) return;
    this.#gathering = true;
    this.#writing += 1;
    const writer = this.#run().finally(() => this.#writers.delete(writer));
    this.#writers.add(writer);
  }

  async #run(): Promise<void> {
    // Items that are added in the same turn of the event loop belong in the first batch.
    const { gatherMs } = this.#options;
    await (gatherMs === undefined ? new Promise(setImmediate) : delay(gatherMs));
    this.#gathering = false;
    while (this.#queue.length > 0) {
      const batch = this.#take();
      this.#startIfDue();
      await this.#write(batch);
    }
    this.#writing -= 1;
  }

  async #write(batch: readonly Waiting<Item, Outcome>[]): Promise<void> {
    const { write, repeatable = false } = this.#options;
    try {
      const outcomes = await write(batch.map(({ item }) => item));
      batch.forEach(({ resolve }, index) => {
        resolve(outcomes[index] as Outcome);
      });
    } catch (error) {
      if (repeatable && batch.length > 1 && isRefusal(error)) {
        const middle = Math.ceil(batch.length / 2);
        await this.#write(batch.slice(0, middle));
        await this.#write(batch.slice(middle));
      } else for (const { reject } of batch) reject(error);
    }
  }

  #take(): Waiting<Item, Outcome>[] {
    const { batchSize, batchBytes = Number.POSITIVE_INFINITY, bytesOf = () => 0 } = this.#options;
    let bytes = 0;
    let count = 0;
    for (const { item } of this.#queue) {
      bytes += bytesOf(item);
      if (count >= batchSize || (count > 0 && bytes > batchBytes)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }
}
