/**
 * Writes the objects that the streams of this instance send. Several streams share a transaction: the busier the
 * database, the more of them. The bytes that wait are bounded over all streams; past the bound no stream is read.
 */

import type { GatewayError } from '../../core/errors.js';
import { GroupCommit } from '../../core/group-commit.js';
import type { Logger } from '../../core/logger.js';
import type { CacheStore } from '../../store/cache/cache.js';
import type { CacheWrite, CacheWriteOutcome, CachingAgent, CachingStart } from '../../store/cache/cached-object.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Batch } from './batch.js';
import type { KindFilter } from './kinds.js';

export interface CachingIngestOptions {
  readonly cache: Pick<CacheStore, 'start' | 'write'>;
  readonly kinds: KindFilter;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** A stream whose messages are written here (session.ts). */
export interface IngestedStream {
  /** Reads on, if there is room now. */
  pauseOrResume(): void;
  close(error: GatewayError): void;
}

/** Bytes of all streams that may wait or be written at a time; beyond them no stream is read. */
const totalBytes = 64 * 1_024 * 1_024;
/**
 * Size of one transaction: large enough to be worth its round trips, small enough that others do not wait for its
 * locks.
 */
const transactionBytes = 4 * 1_024 * 1_024;
/** Cost of a small object, counted in bytes. */
const bytesPerObject = 512;
/** More than the cores of the database: while one transaction waits for its commit another one is built. */
const transactions = 4;

interface Item {
  readonly write: CacheWrite;
  readonly bytes: number;
}

export class CachingIngest {
  readonly kinds: KindFilter;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly #cache: CachingIngestOptions['cache'];
  readonly #writes: GroupCommit<Item, CacheWriteOutcome>;
  readonly #streams = new Set<IngestedStream>();
  #bytes = 0;
  #full = false;

  constructor({ cache, kinds, logger, metrics }: CachingIngestOptions) {
    this.kinds = kinds;
    this.logger = logger;
    this.metrics = metrics;
    this.#cache = cache;
    this.#writes = new GroupCommit<Item, CacheWriteOutcome>({
      name: 'cached objects',
      write: (items) => this.#cache.write(items.map(({ write }) => write)),
      repeatable: true,
      batchSize: 1_000,
      batchBytes: transactionBytes,
      bytesOf: ({ bytes }) => bytes,
      concurrency: transactions,
      // One item of a stream at a time.
      queueLimit: Number.POSITIVE_INFINITY,
    });
  }

  /** Bytes that were received and are not yet committed. */
  get waitingBytes(): number {
    return this.#bytes;
  }

  get streams(): number {
    return this.#streams.size;
  }

  opened(stream: IngestedStream): void {
    this.#streams.add(stream);
  }

  /** Resolves once nothing is being written. */
  async stop(error: GatewayError): Promise<void> {
    for (const stream of [...this.#streams]) stream.close(error);
    await this.#writes.idle();
  }

  closed(stream: IngestedStream): void {
    this.#streams.delete(stream);
  }

  start(agent: CachingAgent, accounts: readonly string[], signal: AbortSignal): Promise<CachingStart> {
    return this.#cache.start(agent, accounts, signal);
  }

  /** @throws GatewayError what the write failed with */
  async write(batch: Batch, write: CacheWrite): Promise<CacheWriteOutcome> {
    const outcome = await this.#writes.add({ write, bytes: batch.bytes + batch.size * bytesPerObject });
    const { metrics } = this;
    const stored = outcome.lost.length === 0 ? 'stored' : 'not_held';
    for (const type of ['added', 'modified', 'deleted'] as const) {
      if (batch.events[type] > 0) metrics.cachingEvents.inc({ type, outcome: stored }, batch.events[type]);
    }
    metrics.cachingRemoved.inc(outcome.removed);
    metrics.cachingBytes.inc(batch.bytes);
    metrics.cachingLag.observe((performance.now() - batch.since) / 1_000);
    return outcome;
  }

  get hasRoom(): boolean {
    return this.#bytes < totalBytes;
  }

  hold(bytes: number): void {
    this.#bytes += bytes;
    this.#full ||= !this.hasRoom;
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
    if (!this.#full || !this.hasRoom) return;
    this.#full = false;
    for (const stream of this.#streams) stream.pauseOrResume();
  }
}
