/**
 * One watcher's server-sent events (HTML Living Standard, 9.2): it gets the newest state when it is ready to read,
 * never a queue.
 */

import { Readable } from 'node:stream';

export interface EventStreamOptions {
  /** The current state as text; the same text until it changes. */
  readonly newest: () => string | undefined;
  /** How long a watcher may not read while there is something to send, in ms. */
  readonly stalledMs: number;
  /** Period of keepalive comments, in ms, so that proxies do not close the connection. */
  readonly pingMs: number;
}

export class EventStream extends Readable {
  readonly #options: EventStreamOptions;
  readonly #ping: NodeJS.Timeout;
  #sent: string | undefined;
  #wanted = false;
  #stalled: NodeJS.Timeout | undefined;

  constructor(options: EventStreamOptions) {
    // One event is enough to be waiting in here.
    super({ highWaterMark: 1 });
    this.#options = options;
    this.#ping = setInterval(() => {
      if (this.#wanted) this.#write(': ping\n\n');
      else this.#expectReading();
    }, options.pingMs);
    this.push('retry: 2000\n\n');
  }

  /** There may be something new. */
  notify(): void {
    const text = this.#options.newest();
    if (text === undefined || text === this.#sent) return;
    if (!this.#wanted) {
      this.#expectReading();
      return;
    }
    this.#sent = text;
    this.#write(`event: overview\ndata: ${text}\n\n`);
  }

  override _read(): void {
    this.#wanted = true;
    clearTimeout(this.#stalled);
    this.#stalled = undefined;
    this.notify();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearInterval(this.#ping);
    clearTimeout(this.#stalled);
    callback(error);
  }

  /** Ends the response; the browser reconnects by itself. */
  end(): void {
    if (!this.destroyed) this.push(null);
    clearInterval(this.#ping);
    clearTimeout(this.#stalled);
  }

  #write(text: string): void {
    this.#wanted = false;
    this.push(text);
  }

  #expectReading(): void {
    this.#stalled ??= setTimeout(() => this.destroy(), this.#options.stalledMs);
  }
}
