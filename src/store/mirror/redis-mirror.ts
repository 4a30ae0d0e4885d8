/**
 * Keeps the in-process map of this replica, Redis and the maps of all other replicas in step. Redis pub/sub can lose
 * messages and Redis can lose data: numbered messages, a generation and a mark of completeness reveal that, and then
 * everything is read again, from Redis or, by one replica for all, from SQL. No operation waits for the mirror,
 * and nothing depends on it for correctness (docs/decisions/0003-ownership.md).
 */

import type { Cluster, Redis } from 'ioredis';
import { messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { backoffMs, jittered, wait } from '../../core/retry.js';
import { Wakeup } from '../../core/wakeup.js';
import {
  defaultMirrorSettings,
  type MirrorSettings,
  type MirrorState,
  type MirrorStatistics,
} from './mirror-settings.js';
import { Outbox } from './outbox.js';
import type { OwnershipMap } from './ownership-map.js';
import { copyTruth, type OwnershipTruth } from './rebuild.js';
import { RedisStore, type Position } from './redis-store.js';
import { Subscription } from './subscription.js';
import { decodeMessage, isRemoval, type Change } from './wire.js';

export interface RedisMirrorOptions {
  /** For commands; a second connection like it is opened to listen. Use the options of redis-options.ts. Stays open. */
  readonly redis: Redis | Cluster;
  readonly map: OwnershipMap;
  readonly truth: OwnershipTruth;
  readonly logger: Logger;
  readonly settings?: Partial<MirrorSettings>;
}

export class RedisMirror {
  readonly #map: OwnershipMap;
  readonly #truth: OwnershipTruth;
  readonly #redis: Redis | Cluster;
  readonly #logger: Logger;
  readonly #settings: MirrorSettings;
  readonly #store: RedisStore;
  readonly #subscription: Subscription;
  readonly #outbox: Outbox;
  readonly #stopped = new AbortController();
  readonly #watchWakeup = new Wakeup();
  readonly #sendWakeup = new Wakeup();
  readonly #startWakeup = new Wakeup();
  readonly #counts = {
    messages: 0,
    malformed: 0,
    gaps: 0,
    silences: 0,
    reloads: 0,
    rebuilds: 0,
    reconciliations: 0,
    overflows: 0,
  };
  #loops: Promise<unknown> = Promise.resolve();
  #state: MirrorState = { name: 'loading', since: performance.now() };
  #contactAt: number | undefined;
  #connectionError: string | undefined;
  /** Whether start() still waits: a failure until then is logged only if it persists to the end of the start. */
  #starting = true;
  /** Why the last check of Redis failed; undefined: it succeeded. */
  #failure: string | undefined = 'Redis: not connected';
  /** Of the last message or reload. */
  #generation: string | undefined;
  #sequence = 0;
  #completed = 0;
  /** Redis's position at the last check: by the next check, all messages up to it must have arrived. */
  #expected = 0;
  /** Why everything must be read again. */
  #dirty: string | undefined = 'start';
  #reloadsInARow = 0;
  /** A rebuild is needed that began after this (µs of the Redis server's clock), and why. */
  #demand: { readonly after: number; readonly reason: string } | undefined;
  /** Clock of the Redis server when the mirror was last complete, in µs. */
  #soundAt = 0;

  constructor(options: RedisMirrorOptions) {
    const settings = { ...defaultMirrorSettings, ...options.settings };
    const { redis } = options;
    this.#map = options.map;
    this.#truth = options.truth;
    this.#redis = redis;
    this.#logger = options.logger;
    this.#settings = settings;
    this.#store = new RedisStore({ redis, ...settings });
    this.#outbox = new Outbox(settings.outboxAccounts);
    this.#subscription = new Subscription({
      redis,
      channel: this.#store.channel,
      timeoutMs: settings.commandTimeoutMs,
      onMessage: (text) => {
        this.#receive(text);
      },
      onConnection: () => {
        this.#watchWakeup.ring();
      },
      onError: this.#onError,
    });
  }

  get state(): MirrorState {
    return this.#state;
  }

  statistics(): MirrorStatistics {
    const contactAgeMs = this.#contactAt === undefined ? undefined : performance.now() - this.#contactAt;
    return { ...this.#counts, pending: this.#outbox.size, contactAgeMs };
  }

  /** Resolves once live, or, with a warning, after `startTimeoutMs`: without Redis the gateway is slower, not wrong. */
  async start(): Promise<void> {
    this.#redis.on('error', this.#onError);
    this.#redis.on('ready', this.#onReady);
    if (this.#redis.status === 'wait') this.#redis.connect().catch(this.#onError);
    this.#subscription.open();
    this.#loops = Promise.all([this.#watch(), this.#send(), this.#reconcile()]);
    await this.#startWakeup.pause(this.#settings.startTimeoutMs, this.#stopped.signal);
    this.#starting = false;
    if (this.#failure !== undefined) this.#setState('degraded', this.#failure);
  }

  /** Sends unconfirmed changes to Redis, for `pageTimeoutMs` at most, then ends everything that start() began. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Error('the mirror was stopped'));
    await this.#loops;
    try {
      const until = performance.now() + this.#settings.pageTimeoutMs;
      while (this.#outbox.size > 0 && this.#redis.status === 'ready' && performance.now() < until) {
        await this.#sendBatch();
      }
    } catch (error) {
      this.#logger.debug({ reason: messageOf(error) }, 'mirror: could not send the last changes to Redis');
    }
    if (this.#outbox.size > 0)
      this.#logger.warn(
        { pending: this.#outbox.size },
        'mirror: stopped with unsent changes; the next comparison with SQL sends them',
      );
    this.#subscription.close();
    this.#redis.off('error', this.#onError);
    this.#redis.off('ready', this.#onReady);
  }

  /** Publishes changes that SQL has committed to Redis and the other replicas. Never waits, never fails. */
  publish(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    this.#outbox.put(changes);
    this.#sendWakeup.ring();
  }

  readonly #onError = (error: Error): void => {
    this.#connectionError = messageOf(error);
  };

  readonly #onReady = (): void => {
    this.#sendWakeup.ring();
  };

  #receive(text: string): void {
    const message = decodeMessage(text);
    this.#contactAt = performance.now();
    if (message === undefined) {
      this.#counts.malformed += 1;
      this.#soil('an unreadable message');
      return;
    }
    this.#counts.messages += 1;
    for (const change of message.changes) {
      if (isRemoval(change)) this.#map.remove(change.account, change.version);
      else this.#map.set(change);
    }
    if (message.generation !== this.#generation) {
      this.#generation = message.generation;
      this.#sequence = message.sequence;
      this.#expected = 0;
      this.#soil('a new generation');
    } else if (message.sequence > this.#sequence) {
      const missing = message.sequence - this.#sequence - 1;
      this.#sequence = message.sequence;
      if (missing === 0) return;
      this.#counts.gaps += 1;
      this.#soil(`${missing} messages were lost`);
    }
  }

  #soil(reason: string): void {
    if (this.#dirty !== undefined) return;
    this.#dirty = reason;
    this.#watchWakeup.ring();
  }

  /** Checks Redis again and again, and brings the map back in step with it. */
  async #watch(): Promise<void> {
    const { signal } = this.#stopped;
    const { checkIntervalMs, startTimeoutMs, backoff } = this.#settings;
    // The first connection rings.
    await this.#watchWakeup.pause(startTimeoutMs, signal);
    for (let failures = 0; !signal.aborted;) {
      let pauseMs = checkIntervalMs;
      try {
        await this.#check();
        failures = 0;
      } catch (error) {
        if (!this.#isRunning()) return;
        const reason = messageOf(error);
        const cause = this.#redis.status === 'ready' ? undefined : this.#connectionError;
        this.#failure = cause === undefined ? reason : `${reason} (${cause})`;
        this.#setState('degraded', this.#failure);
        pauseMs = backoffMs(backoff, failures);
        failures += 1;
      }
      await this.#watchWakeup.pause(pauseMs, signal);
    }
  }

  async #check(): Promise<void> {
    if (this.#subscription.active) {
      await this.#subscription.ping();
    } else {
      await this.#subscription.subscribe();
      this.#dirty ??= 'a new subscription';
    }
    const generation = this.#generation;
    const sequence = this.#sequence;
    const position = await this.#store.position();
    this.#contactAt = performance.now();
    this.#failure = undefined;
    const same = position.generation === generation;
    if (position.completed > 0 && (position.completed < this.#completed || (same && position.sequence < sequence))) {
      this.#demand ??= { after: this.#soundAt, reason: 'Redis has older data than before' };
      this.#completed = 0;
    }
    if (this.#outbox.takeOverflow()) {
      this.#counts.overflows += 1;
      this.#demand = { after: position.now, reason: 'the outbox overflowed' };
    }
    if (!this.#isWhole(position)) {
      await this.#rebuild();
      return;
    }
    this.#demand = undefined;
    if (same && sequence < this.#expected) {
      this.#counts.silences += 1;
      this.#expected = 0;
      this.#subscription.reset();
      throw new Error('Redis: the subscription is silent');
    }
    if (this.#dirty !== undefined || !same) await this.#reload(position);
    else this.#reloadsInARow = 0;
    if (!this.#subscription.active || this.#dirty !== undefined) {
      this.#watchWakeup.ring();
      return;
    }
    this.#expected = position.sequence;
    this.#soundAt = position.now;
    this.#setState('live');
  }

  #isWhole({ completed }: Position): boolean {
    return completed > 0 && (this.#demand === undefined || completed > this.#demand.after);
  }

  /** Reads all of Redis into the map; beside it, messages go on being applied. */
  async #reload(position: Position): Promise<void> {
    const { signal } = this.#stopped;
    const { reloadSpreadMs, backoff, pageAccounts } = this.#settings;
    const first = this.#counts.reloads === 0;
    this.#setState('loading', this.#dirty ?? 'a new generation');
    if (this.#reloadsInARow > 0) await wait(backoffMs(backoff, this.#reloadsInARow - 1), signal);
    else if (!first) await wait(Math.random() * reloadSpreadMs, signal);
    this.#reloadsInARow += 1;
    this.#counts.reloads += 1;
    // A message beyond this position may already have arrived; the pages read from here on cover a gap before it.
    const known = this.#generation === position.generation ? this.#sequence : 0;
    this.#generation = position.generation;
    this.#sequence = Math.max(position.sequence, known);
    this.#completed = position.completed;
    this.#dirty = undefined;
    const reload = this.#map.beginReload();
    try {
      let cursor = '0';
      do {
        signal.throwIfAborted();
        const page = await this.#store.scan(cursor, pageAccounts);
        for (const ownership of page.entries) reload.add(ownership);
        cursor = page.cursor;
      } while (cursor !== '0');
      const after = await this.#store.position();
      if (after.completed < position.completed) throw new Error('Redis lost its data while it was read');
      for (const account of this.#outbox.accounts()) {
        const ownership = this.#map.get(account);
        if (ownership !== undefined) reload.add(ownership);
      }
      await reload.commit();
    } catch (error) {
      this.#dirty = 'a failed reload';
      throw error;
    } finally {
      reload.end();
    }
  }

  /** One replica fills Redis from SQL; the others come back at the next check, or when they hear that it is done. */
  async #rebuild(): Promise<void> {
    const reason = this.#demand?.reason ?? 'Redis is incomplete';
    // Redis is filled for the first time: nothing was lost.
    this.#setState(this.#soundAt === 0 ? 'loading' : 'degraded', reason);
    const rebuilt = await this.#withLock(async (token) => {
      const began = await this.#store.position();
      if (this.#isWhole(began)) return;
      this.#counts.rebuilds += 1;
      this.#logger.info({ reason }, 'mirror: rebuilding Redis from SQL');
      await this.#copy(token, true);
      await this.#store.complete(token, began.now);
    });
    if (rebuilt) this.#watchWakeup.ring();
  }

  async #reconcile(): Promise<void> {
    const { signal } = this.#stopped;
    const { reconcileIntervalMs } = this.#settings;
    while (this.#isRunning()) {
      try {
        await wait(jittered(reconcileIntervalMs, 0.1), signal);
        if (this.#state.name !== 'live' || !(await this.#store.turn(Math.ceil(reconcileIntervalMs * 0.8)))) continue;
        await this.#withLock(async (token) => {
          this.#counts.reconciliations += 1;
          const corrected = await this.#copy(token, false);
          if (corrected > 0) this.#logger.info({ corrected }, 'mirror: Redis differed from SQL; corrected');
        });
      } catch (error) {
        if (this.#isRunning()) this.#logger.warn({ reason: messageOf(error) }, 'mirror: comparison with SQL failed');
      }
    }
  }

  #copy(token: string, quiet: boolean): Promise<number> {
    const { lockMs, pageTimeoutMs } = this.#settings;
    const { signal } = this.#stopped;
    return copyTruth({ store: this.#store, truth: this.#truth, token, lockMs, pageTimeoutMs, quiet, signal });
  }

  /** @returns whether the lock was free */
  async #withLock(task: (token: string) => Promise<void>): Promise<boolean> {
    const token = await this.#store.lock(this.#settings.lockMs);
    if (token === undefined) return false;
    try {
      await task(token);
    } finally {
      // Should this fail, the lock expires.
      await this.#store.unlock(token).catch(() => undefined);
    }
    return true;
  }

  /** Empties the outbox into Redis, one batch at a time: changes that come meanwhile form the next one. */
  async #send(): Promise<void> {
    const { signal } = this.#stopped;
    const { backoff, checkIntervalMs } = this.#settings;
    for (let failures = 0; !signal.aborted;) {
      try {
        while (this.#outbox.size > 0 && this.#redis.status === 'ready' && this.#isRunning()) {
          await this.#sendBatch();
          failures = 0;
        }
        await this.#sendWakeup.pause(checkIntervalMs, signal);
      } catch (error) {
        this.#logger.debug({ reason: messageOf(error) }, 'mirror: cannot send changes to Redis; retrying');
        // Not the wakeup: every change rings it.
        await wait(backoffMs(backoff, failures), signal).catch(() => undefined);
        failures += 1;
      }
    }
  }

  async #sendBatch(): Promise<void> {
    const batch = this.#outbox.batch();
    await this.#store.write(batch);
    this.#outbox.settle(batch);
  }

  #isRunning(): boolean {
    return !this.#stopped.signal.aborted;
  }

  #setState(wanted: MirrorState['name'], reason?: string): void {
    const previous = this.#state;
    const name = this.#starting && wanted === 'degraded' ? 'loading' : wanted;
    if (name === previous.name && reason === previous.reason) return;
    const since = name === previous.name ? previous.since : performance.now();
    this.#state = reason === undefined ? { name, since } : { name, since, reason };
    if (name === 'live') this.#startWakeup.ring();
    if (name === previous.name) return;
    if (name === 'degraded') this.#logger.warn({ reason }, 'mirror: degraded; reading from SQL instead');
    else this.#logger.info({ reason, accounts: this.#map.size }, `mirror: ${name}`);
  }
}
