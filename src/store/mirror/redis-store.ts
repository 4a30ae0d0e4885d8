/** The Redis side of the mirror as typed commands, each with a deadline. All keys are in one hash slot (Cluster). */

import { randomUUID } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import { within } from '../../core/deadline.js';
import { messageOf } from '../../core/errors.js';
import type { Ownership } from '../assignments/ownership.js';
import { completeScript, lockScript, ownFieldPrefix, positionScript, writeScript } from './scripts.js';
import { decodeValue, encodeValue, isRemoval, type Change } from './wire.js';

export interface RedisStoreOptions {
  readonly redis: Redis | Cluster;
  /** Keys and the channel begin with it; one per gateway cluster. */
  readonly prefix: string;
  /** Deadline of a small command, in ms. */
  readonly commandTimeoutMs: number;
  /** Deadline of a page or a batch, in ms. */
  readonly pageTimeoutMs: number;
}

/** The position of the mirror in Redis. */
export interface Position {
  /** Name of the data set: if it changes, everything must be read again. */
  readonly generation: string;
  /** Number of the last message of the generation. */
  readonly sequence: number;
  /** When the last rebuild that was completed had begun, in µs of the server's clock; 0: incomplete. */
  readonly completed: number;
  /** The server's clock, in µs. */
  readonly now: number;
}

export interface ScanPage {
  /** '0' after the last page. */
  readonly cursor: string;
  readonly entries: readonly Ownership[];
}

export class RedisStore {
  readonly channel: string;
  readonly #options: RedisStoreOptions;
  readonly #hash: string;
  readonly #lock: string;
  readonly #reconciled: string;

  constructor(options: RedisStoreOptions) {
    this.#options = options;
    const tag = `{${options.prefix}:ownership}`;
    this.channel = `${tag}:changes`;
    this.#hash = `${tag}:accounts`;
    this.#lock = `${tag}:lock`;
    this.#reconciled = `${tag}:reconciled`;
  }

  async position(): Promise<Position> {
    const reply = await this.#small('position', this.#options.redis.eval(positionScript, 1, this.#hash));
    const [generation, sequence, completed, now] = reply as [string, string, string, string];
    return { generation, sequence: Number(sequence), completed: Number(completed), now: Number(now) };
  }

  /**
   * Writes changes that are newer than the stored entries. @returns how many were
   * @param quiet does not publish the changes: a rebuild, after which every replica reads everything again
   */
  write(changes: readonly Change[], quiet = false): Promise<number> {
    const removals: (string | number)[] = [];
    const writes: (string | number)[] = [];
    for (const change of changes) {
      if (isRemoval(change)) removals.push(change.account, change.version);
      else writes.push(change.account, change.version, encodeValue(change));
    }
    const argv = [quiet ? '' : this.channel, randomUUID(), removals.length / 2, ...removals, ...writes];
    const reply = this.#options.redis.eval(writeScript, 1, this.#hash, ...argv);
    return this.#small('write', reply as Promise<number>);
  }

  /** Unreadable entries are left out. */
  async scan(cursor: string, count: number): Promise<ScanPage> {
    const reply = this.#options.redis.hscan(this.#hash, cursor, 'COUNT', count);
    const [next, flat] = await within(this.#options.pageTimeoutMs, 'Redis: HSCAN', reply);
    const entries: Ownership[] = [];
    for (let index = 0; index + 1 < flat.length; index += 2) {
      const account = flat[index] ?? '';
      if (account.startsWith(ownFieldPrefix)) continue;
      const ownership = decodeValue(account, flat[index + 1] ?? '');
      if (ownership !== undefined) entries.push(ownership);
    }
    return { cursor: next, entries };
  }

  /** Takes the lock for rebuilds. @returns its token, or undefined while another replica holds it */
  async lock(ttlMs: number): Promise<string | undefined> {
    const token = randomUUID();
    const reply = this.#options.redis.set(this.#lock, token, 'PX', ttlMs, 'NX');
    return (await this.#small('lock', reply)) === 'OK' ? token : undefined;
  }

  /** @throws Error if the lock is no longer held with this token */
  async extend(token: string, ttlMs: number): Promise<void> {
    const held = await this.#small('extend', this.#options.redis.eval(lockScript, 1, this.#lock, token, ttlMs));
    if (held !== 1) throw new Error('the lock of the rebuild was lost');
  }

  async unlock(token: string): Promise<void> {
    await this.#small('unlock', this.#options.redis.eval(lockScript, 1, this.#lock, token, 0));
  }

  /** Declares the hash complete as of a rebuild that began at `began` (µs of the server's clock). */
  async complete(token: string, began: number): Promise<void> {
    const { redis } = this.#options;
    const reply = redis.eval(completeScript, 2, this.#hash, this.#lock, token, this.channel, randomUUID(), began);
    if ((await this.#small('complete', reply)) !== 1) throw new Error('the lock of the rebuild was lost');
  }

  /** Whether it is this caller's turn to reconcile: once per interval in the whole cluster. */
  async turn(intervalMs: number): Promise<boolean> {
    const reply = this.#options.redis.set(this.#reconciled, '1', 'PX', intervalMs, 'NX');
    return (await this.#small('turn', reply)) === 'OK';
  }

  async #small<T>(what: string, reply: Promise<T>): Promise<T> {
    try {
      return await within(this.#options.commandTimeoutMs, what, reply);
    } catch (error) {
      throw new Error(`Redis: ${messageOf(error)}`, { cause: error });
    }
  }
}
