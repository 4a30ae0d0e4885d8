/** A connection after 101: bytes in both directions, each of which ends on its own. */

import type { Duplex } from 'node:stream';
import type { ExchangeEvents } from './exchange.js';
import { ReaderWindow } from './window.js';

export class UpgradedConnection {
  readonly #socket: Duplex;
  readonly #window: ReaderWindow;
  #mustDrain = false;

  /**
   * @param events onData(), onEnd() and onDrain() are called
   * @param failed called at most once, when the connection breaks before both directions have ended
   */
  constructor(socket: Duplex, events: ExchangeEvents, failed: (error: unknown) => void) {
    this.#socket = socket;
    this.#window = new ReaderWindow((data) => {
      events.onData(data);
    });
    let failure: unknown = new Error('the connection was closed');
    // Otherwise Node.js ends our direction as soon as the server has ended its own.
    socket.allowHalfOpen = true;
    socket.on('data', (data: Buffer) => {
      this.#window.push(data, socket);
    });
    socket.on('end', () => {
      this.#window.end(() => {
        events.onEnd([]);
      });
    });
    socket.on('drain', () => {
      if (!this.#mustDrain) return;
      this.#mustDrain = false;
      events.onDrain();
    });
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('close', () => {
      if (!socket.readableEnded || !socket.writableFinished) failed(failure);
    });
    socket.resume();
  }

  write(data: Uint8Array): boolean {
    if (!this.#socket.writable) return true;
    const more = this.#socket.write(data);
    if (!more) this.#mustDrain = true;
    return more;
  }

  end(): void {
    this.#socket.end();
  }

  consumed(bytes: number): void {
    this.#window.consumed(bytes);
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
