/**
 * Group commit: single items in, batches out. While one batch is being written the next one gathers, so the busier
 * it is the fewer round trips an item costs, and a lone item waits for nobody. (The technique of database logs:
 * DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984.)
 */

import { GatewayError } from './errors.js';

export interface GroupCommitOptions<Item, Outcome> {
  /** For messages: what is written. */
  readonly name: string;
  /** Writes a batch; gives one outcome per item, in order. */
  readonly write: (items: readonly Item[]) => Promise<readonly Outcome[]>;
  /** Items in one batch at most. */
  readonly batchSize: number;
  /** Items waiting at most; beyond it add() fails with `overloaded`. */
  readonly queueLimit: number;
}

interface Waiting<Item, Outcome> {
  readonly item: Item;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

export class GroupCommit<Item, Outcome> {
  readonly #options: GroupCommitOptions<Item, Outcome>;
  #queue: Waiting<Item, Outcome>[] = [];
  #running: Promise<void> | undefined;

  constructor(options: GroupCommitOptions<Item, Outcome>) {
    this.#options = options;
  }

  get queueLength(): number {
    return this.#queue.length;
  }

  /**
   * @returns the item's outcome once its batch is written
   * @throws GatewayError `overloaded` when the queue is full; whatever the batch's write threw
   */
  add(item: Item): Promise<Outcome> {
    if (this.#queue.length >= this.#options.queueLimit) {
      return Promise.reject(
        new GatewayError('overloaded', `too many writes wait for the database (${this.#options.name})`, {
          retryAfterMs: 1_000,
        }),
      );
    }
    return new Promise<Outcome>((resolve, reject) => {
      this.#queue.push({ item, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves once everything added so far is written or has failed. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // Items that are added in the same turn of the event loop belong into the first batch.
    await new Promise(setImmediate);
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, this.#options.batchSize);
      try {
        const outcomes = await this.#options.write(batch.map((waiting) => waiting.item));
        batch.forEach((waiting, index) => {
          waiting.resolve(outcomes[index] as Outcome);
        });
      } catch (error) {
        for (const waiting of batch) waiting.reject(error);
      }
    }
    this.#running = undefined;
  }
}
