/** The listening connection: it always knows whether it is subscribed. The mirror's loop subscribes it anew. */

import { Redis, type Cluster } from 'ioredis';
import { within } from '../../core/deadline.js';

export interface SubscriptionOptions {
  /** The client whose settings it copies. */
  readonly redis: Redis | Cluster;
  readonly channel: string;
  /** Deadline of a command, in ms. */
  readonly timeoutMs: number;
  readonly onMessage: (text: string) => void;
  /** The connection was opened or lost: time for a check. */
  readonly onConnection: () => void;
  readonly onError: (error: Error) => void;
}

export class Subscription {
  readonly #options: SubscriptionOptions;
  #connection: Redis | Cluster | undefined;
  #active = false;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
  }

  /** Whether every message published since subscribe() has arrived, as far as the connection knows. */
  get active(): boolean {
    return this.#active;
  }

  /** Starts to connect, and keeps trying until close(). */
  open(): void {
    const { redis, channel, onMessage, onConnection, onError } = this.#options;
    // The mirror resubscribes, and reads everything again afterwards.
    const connection =
      redis instanceof Redis
        ? redis.duplicate({ lazyConnect: true, autoResubscribe: false })
        : redis.duplicate([], { lazyConnect: true });
    this.#connection = connection;
    const changed = (): void => {
      this.#active = false;
      onConnection();
    };
    connection.on('ready', changed);
    connection.on('close', changed);
    connection.on('error', onError);
    connection.on('message', (from: string, text: string) => {
      if (from === channel) onMessage(text);
    });
    connection.connect().catch(onError);
  }

  /** @throws Error while there is no connection */
  async subscribe(): Promise<void> {
    const connection = this.#connection;
    if (connection?.status !== 'ready') throw new Error('Redis: not connected');
    try {
      await within(this.#options.timeoutMs, 'Redis: subscribe', connection.subscribe(this.#options.channel));
    } catch (error) {
      this.reset();
      throw error;
    }
    this.#active = true;
  }

  /** Detects a connection that only seems to be up; the client of a cluster cannot ping its subscriber. */
  async ping(): Promise<void> {
    const connection = this.#connection;
    if (!(connection instanceof Redis)) return;
    try {
      await within(this.#options.timeoutMs, 'Redis: ping of the subscription', connection.ping());
    } catch (error) {
      this.reset();
      throw error;
    }
  }

  /** Connects anew. */
  reset(): void {
    this.#active = false;
    this.#connection?.disconnect(true);
  }

  close(): void {
    this.#active = false;
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection === undefined) return;
    connection.removeAllListeners('message');
    connection.removeAllListeners('ready');
    connection.removeAllListeners('close');
    connection.disconnect();
  }
}
