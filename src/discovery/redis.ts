/**
 * Discovery through Redis, for clusters outside Kubernetes: each instance writes a record with a time to live,
 * announces it by pub/sub, and renews it every third of that time. Pub/sub only makes it fast: the records decide, and
 * are read again at each heartbeat and each time the subscription is (re)established.
 */

import type { Redis, RedisOptions } from 'ioredis';
import { GatewayError, messageOf } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { backoffMs, defaultBackoff, jittered, wait } from '../core/retry.js';
import { unlessAborted, withDeadline } from '../core/deadline.js';
import type { Discovery } from './discovery.js';
import { Membership, type Member } from './membership.js';
import { leaveScript, leftRecord, parseReply, syncScript, type RedisInstanceRecord } from './redis-records.js';

export interface RedisDiscoveryOptions {
  readonly self: { readonly id: string; readonly baseUrl: string };
  /** The Redis client: two connections are duplicated from it; the client itself is not used. */
  readonly redis: Redis;
  readonly logger: Logger;
  /** Key prefix; default `agent-gateway:`. */
  readonly prefix?: string;
  /** After this time without a heartbeat others no longer count this instance as a member, in ms; default 15,000. */
  readonly ttlMs?: number;
  /** How long one command may take before the connection is given up and made anew, in ms; default 2,000. */
  readonly timeoutMs?: number;
  /** Whether start() fails when Redis does not answer in time; default true. */
  readonly failFast?: boolean;
  /** How long start() tries, in ms; default 10,000. */
  readonly startTimeoutMs?: number;
}

const shortestPauseMs = 20;

export class RedisDiscovery extends Membership implements Discovery {
  readonly #options: RedisDiscoveryOptions;
  /**
   * Ends, records, channel: the KEYS of the scripts. One hash tag, so that they may be used together in Redis Cluster.
   */
  readonly #keys: readonly [ends: string, records: string, channel: string];
  readonly #ttlMs: number;
  readonly #timeoutMs: number;
  readonly #stopping = new AbortController();
  /** Ends the wait for the next beat early. */
  #hurry = new AbortController();
  /**
   * An instance without a record stays until its last known expiry, by performance.now(): a Redis that started empty,
   * or a replica of it that is behind, must not empty the cluster.
   */
  readonly #members = new Map<string, { readonly member: Member; readonly keepUntil: number }>();
  #lastError: Error | undefined;
  #ready = false;
  #commands: Redis | undefined;
  #subscriber: Redis | undefined;
  #beating: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: RedisDiscoveryOptions) {
    super(options.logger);
    const tag = `${options.prefix ?? 'agent-gateway:'}{instances}`;
    this.#options = options;
    this.#keys = [`${tag}:ends`, `${tag}:records`, `${tag}:changes`];
    this.#ttlMs = options.ttlMs ?? 15_000;
    this.#timeoutMs = options.timeoutMs ?? 2_000;
  }

  async start(signal: AbortSignal): Promise<void> {
    this.#commands = this.#connect();
    this.#subscriber = this.#connect();
    this.#subscriber.on('message', () => this.#hurry.abort());

    const { failFast = true, startTimeoutMs = 10_000 } = this.#options;
    const started = new Promise<void>((resolve) => {
      this.#beating = this.#beat((error) => {
        if (error === undefined || !failFast) resolve();
      });
    });
    try {
      await withDeadline(startTimeoutMs, signal, 'Redis', (limit) => unlessAborted(started, limit));
    } catch (error) {
      const last = this.state().error ?? '';
      await this.stop();
      if (signal.aborted) throw error;
      const message = `cannot find the instances in Redis: ${last}`;
      throw new GatewayError('dependency-unavailable', message, { field: 'redis.connection', cause: error });
    }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  setReady(ready: boolean): void {
    if (this.#ready === ready) return;
    this.#ready = ready;
    this.#hurry.abort();
  }

  async #stop(): Promise<void> {
    this.#stopping.abort(new Error('discovery stopped'));
    this.#hurry.abort();
    await this.#beating;
    try {
      if (this.#commands?.status === 'ready') {
        const { id } = this.#options.self;
        await this.#commands.eval(leaveScript, 3, ...this.#keys, id, leftRecord, this.#ttlMs);
      }
    } catch (error) {
      this.logger.warn(
        { error: messageOf(error) },
        'could not leave the cluster in Redis; the record of this instance expires by itself',
      );
    }
    this.#subscriber?.disconnect();
    this.#commands?.disconnect();
    this.setStopped();
  }

  /** A connection that answers or fails in time, and comes back by itself for as long as it takes. */
  #connect(): Redis {
    const settings: Partial<RedisOptions> = {
      lazyConnect: false,
      // It would be added to keys but not to channels.
      keyPrefix: '',
      connectTimeout: this.#timeoutMs,
      commandTimeout: this.#timeoutMs,
      socketTimeout: this.#timeoutMs,
      // No command may be sent late: a late heartbeat would undo a leave.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      // Each heartbeat subscribes.
      autoResubscribe: false,
      retryStrategy: (times: number) => backoffMs(defaultBackoff, times - 1),
    };
    const connection = this.#options.redis.duplicate(settings);
    connection.on('error', (error) => (this.#lastError = error));
    for (const event of ['ready', 'close']) connection.on(event, () => this.#hurry.abort());
    return connection;
  }

  /** Announces and reads, now and every third of the time to live, and sooner when something changed. */
  async #beat(onBeat: (error?: unknown) => void): Promise<void> {
    const stopping = this.#stopping.signal;
    for (let failures = 0; !stopping.aborted;) {
      // Before reading: a change during the read must not wait for the next heartbeat.
      this.#hurry = new AbortController();
      try {
        await this.#sync();
        failures = 0;
        this.setKnown();
        onBeat();
      } catch (error) {
        failures += 1;
        this.setUnknown(error);
        onBeat(error);
      }
      if (stopping.aborted) return;
      const waitMs = failures === 0 ? jittered(this.#ttlMs / 3, 0.1) : backoffMs(defaultBackoff, failures - 1);
      await wait(waitMs, this.#hurry.signal).catch(() => undefined);
      // Many changes at once cause one read, and two instances that share an id do not trigger each other endlessly.
      await wait(shortestPauseMs, stopping).catch(() => undefined);
    }
  }

  async #sync(): Promise<void> {
    const { id, baseUrl } = this.#options.self;
    if (this.#commands?.status !== 'ready') throw this.#lastError ?? new Error('no connection to Redis');
    // First, so that no change is missed; and at each heartbeat, because nothing else would notice a dead connection.
    if (this.#subscriber?.status === 'ready') {
      await this.#subscriber.subscribe(this.#keys[2]).catch((error: unknown) => {
        this.logger.warn(
          { error: messageOf(error) },
          'cannot subscribe to changes in Redis; they are seen at the next heartbeat',
        );
      });
    }
    const record: RedisInstanceRecord = { baseUrl, ready: this.#ready, ttlMs: this.#ttlMs };
    const reply = await this.#commands.eval(syncScript, 3, ...this.#keys, id, JSON.stringify(record), this.#ttlMs);
    const { now, records } = parseReply(reply);
    for (const [instanceId, { end, record: found }] of records) {
      if (found === undefined) this.#members.delete(instanceId);
      else {
        const member = { id: instanceId, baseUrl: found.baseUrl, ready: found.ready, lastUpdated: end - found.ttlMs };
        this.#members.set(instanceId, { member, keepUntil: performance.now() + end - now });
      }
    }
    for (const [instanceId, { keepUntil }] of this.#members) {
      if (!records.has(instanceId) && performance.now() >= keepUntil) this.#members.delete(instanceId);
    }
    this.replace([...this.#members.values()].map(({ member }) => member));
  }
}
