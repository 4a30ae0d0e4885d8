/**
 * Reads accounts from SQL for many callers at once: concurrent reads of one account are shared, and
 * all accounts requested in one turn of the event loop share one query.
 */

import { GatewayError } from '../../core/errors.js';
import type { Ownership } from '../../store/assignments/ownership.js';

export interface TruthReaderSettings {
  /** Accounts in one query at most. */
  readonly batchAccounts: number;
  /** Concurrent queries. */
  readonly concurrentReads: number;
  /** Accounts that may wait for a query; past it, callers are refused. */
  readonly waitingAccounts: number;
  /** Deadline of a query, in ms. */
  readonly readTimeoutMs: number;
}

interface TruthSource {
  find(accounts: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, Ownership>>;
}

/** Makes the answer from the rows; runs once per read, before any waiting caller continues. */
type Learn = (truth: Ownership | undefined) => Ownership | undefined;

interface Read {
  readonly account: string;
  readonly learn: Learn[];
  readonly promise: Promise<Ownership | undefined>;
  readonly resolve: (ownership: Ownership | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export class TruthReader {
  readonly #source: TruthSource;
  readonly #settings: TruthReaderSettings;
  /** Not yet sent to SQL. */
  readonly #waiting = new Map<string, Read>();
  /** Under way; if there are two for one account, the later one. */
  readonly #running = new Map<string, Read>();
  #queries = 0;
  #scheduled = false;

  constructor(source: TruthSource, settings: TruthReaderSettings) {
    this.#source = source;
    this.#settings = settings;
  }

  /** Reads the account, or joins a read of it that is already under way. */
  join(account: string, learn: Learn): Promise<Ownership | undefined> {
    const read = this.#waiting.get(account) ?? this.#running.get(account);
    return read === undefined ? this.#enqueue(account, learn) : read.promise;
  }

  /** Reads the account by a query that begins after this call. */
  fresh(account: string, learn: Learn): Promise<Ownership | undefined> {
    const read = this.#waiting.get(account);
    if (read === undefined) return this.#enqueue(account, learn);
    read.learn.push(learn);
    return read.promise;
  }

  #enqueue(account: string, learn: Learn): Promise<Ownership | undefined> {
    if (this.#waiting.size >= this.#settings.waitingAccounts) {
      const message = 'too many accounts are being looked up; try again';
      return Promise.reject(new GatewayError('overloaded', message, { account, retryAfterMs: 1_000 }));
    }
    let resolve: Read['resolve'] = () => undefined;
    let reject: Read['reject'] = () => undefined;
    const promise = new Promise<Ownership | undefined>((onRead, onFailure) => {
      resolve = onRead;
      reject = onFailure;
    });
    // All waiting callers may have given up by the time it fails.
    promise.catch(() => undefined);
    this.#waiting.set(account, { account, learn: [learn], promise, resolve, reject });
    this.#schedule();
    return promise;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      while (this.#waiting.size > 0 && this.#queries < this.#settings.concurrentReads) void this.#query();
    });
  }

  async #query(): Promise<void> {
    const reads: Read[] = [];
    for (const read of this.#waiting.values()) {
      if (reads.length === this.#settings.batchAccounts) break;
      this.#waiting.delete(read.account);
      this.#running.set(read.account, read);
      reads.push(read);
    }
    this.#queries += 1;
    try {
      const found = await this.#find(reads.map(({ account }) => account));
      for (const read of reads) {
        const truth = found.get(read.account);
        let known: Ownership | undefined;
        for (const learn of read.learn) known = learn(truth);
        read.resolve(known);
      }
    } catch (error) {
      for (const read of reads) read.reject(error);
    } finally {
      for (const read of reads) {
        if (this.#running.get(read.account) === read) this.#running.delete(read.account);
      }
      this.#queries -= 1;
      if (this.#waiting.size > 0) this.#schedule();
    }
  }

  /** The deadline holds even if the source does not heed its signal. */
  #find(accounts: readonly string[]): Promise<ReadonlyMap<string, Ownership>> {
    const { readTimeoutMs } = this.#settings;
    const deadline = new AbortController();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const message = `could not read the owner of the account from SQL within ${readTimeoutMs} ms; try again`;
        const error = new GatewayError('dependency-unavailable', message, { field: 'sql', retryAfterMs: 1_000 });
        deadline.abort(error);
        reject(error);
      }, readTimeoutMs);
      void this.#source
        .find(accounts, deadline.signal)
        .then(resolve, reject)
        .finally(() => {
          clearTimeout(timer);
        });
    });
  }
}
