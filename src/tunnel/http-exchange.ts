/**
 * An exchange over an HTTP/1.1 connection of undici: to an API server or to another replica. Nothing is sent twice,
 * decoded, or normalized. Trailers of a request are not passed on (undici cannot send any, and Kubernetes knows none).
 */

import { Readable, type Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { GatewayError } from '../core/errors.js';
import { passing } from '../core/passing-bytes.js';
import type { Exchange, ExchangeEvents, HttpRequestHead } from './exchange.js';
import { passingHeaders, sendingHeaders } from './hop-headers.js';
import { UpgradedConnection } from './upgraded-connection.js';
import { ReaderWindow } from './window.js';

export interface HttpExchangeOptions {
  /** "https://10.0.0.1:6443". */
  readonly origin: string;
  /** Written before the target; without a slash at its end; default ''. */
  readonly pathPrefix?: string;
  /** Its Host, Expect and hop-by-hop headers are not sent; undici writes those of its own connection. */
  readonly head: HttpRequestHead;
  /** What of the request's body is here already; default: nothing, and write() and end() follow. */
  readonly first?: { readonly body?: Uint8Array; readonly complete: boolean };
  /**
   * Makes the error for onFailed().
   * @param sent false: no connection came about, or the request is invalid, so nothing of it has left
   */
  readonly failure: (error: unknown, sent: boolean) => GatewayError;
}

/** How much of a request's body waits for the connection before write() returns false. */
const requestBufferBytes = 65_536;

/** Sends a request; the first event comes after it has returned. There is no time limit but that for connecting. */
export function startHttpExchange(
  dispatcher: Dispatcher,
  options: HttpExchangeOptions,
  events: ExchangeEvents,
): Exchange {
  const exchange = new HttpExchange(options, events);
  exchange.start(dispatcher);
  return exchange;
}

class HttpExchange implements Exchange, Dispatcher.DispatchHandler {
  readonly #options: HttpExchangeOptions;
  readonly #events: ExchangeEvents;
  readonly #window: ReaderWindow;
  /** Since the request may have been written. */
  #controller: Dispatcher.DispatchController | undefined;
  #body: Readable | undefined;
  #mustDrain = false;
  #upgraded: UpgradedConnection | undefined;
  /** For the upgraded connection, before there is one. */
  #early: Uint8Array[] = [];
  #endedEarly = false;
  /** No event follows but onFailed(). */
  #over = false;
  #cancelled = false;

  constructor(options: HttpExchangeOptions, events: ExchangeEvents) {
    this.#options = options;
    this.#events = events;
    this.#window = new ReaderWindow((data) => {
      if (!this.#over) events.onData(data);
    });
  }

  start(dispatcher: Dispatcher): void {
    const { origin, pathPrefix = '', head } = this.#options;
    const { method, target, headers, upgrade } = head;
    const common = {
      origin,
      method,
      path: `${pathPrefix}${target}`,
      headers: sendingHeaders(headers),
      headersTimeout: 0,
      bodyTimeout: 0,
    };
    try {
      if (upgrade !== '') dispatcher.dispatch({ ...common, upgrade }, this);
      else if (method === 'HEAD') dispatcher.dispatch({ ...common, body: this.#requestBody() }, this);
      // undici would close the connection after each DELETE with a body.
      else dispatcher.dispatch({ ...common, body: this.#requestBody(), reset: false }, this);
    } catch (error) {
      this.#fail(error);
    }
  }

  write(data: Uint8Array): boolean {
    if (this.#over || data.length === 0) return true;
    if (this.#upgraded !== undefined) return this.#upgraded.write(data);
    if (this.#options.head.upgrade !== '') {
      this.#early.push(data);
      return false;
    }
    if (this.#body === undefined || this.#body.destroyed || this.#endedEarly) return true;
    const more = this.#body.push(data);
    if (!more) this.#mustDrain = true;
    return more;
  }

  end(): void {
    if (this.#over || this.#endedEarly) return;
    this.#endedEarly = true;
    this.#upgraded?.end();
    this.#body?.push(null);
  }

  consumed(bytes: number): void {
    if (this.#over) return;
    if (this.#upgraded === undefined) this.#window.consumed(bytes);
    else this.#upgraded.consumed(bytes);
  }

  cancel(message: string): void {
    this.#cancelled = true;
    if (this.#over) return;
    this.#over = true;
    this.#break(new Error(message));
  }

  /** undici is about to write the request. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(new Error('cancelled'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200 || this.#over) return;
    this.#early = [];
    this.#events.onResponse({ status, headers: passingHeaders(rawList(controller.rawHeaders)) });
  }

  onResponseData(controller: Dispatcher.DispatchController, data: Buffer): void {
    passing(data.length);
    if (!this.#over) this.#window.push(data, controller);
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    this.#window.end(() => {
      if (this.#over) return;
      this.#over = true;
      this.#events.onEnd(passingHeaders(rawList(controller.rawTrailers)));
    });
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#fail(error);
  }

  onRequestUpgrade(controller: Dispatcher.DispatchController, status: number, _headers: object, socket: Duplex): void {
    if (this.#over) {
      socket.on('error', () => undefined).destroy();
      return;
    }
    this.#events.onResponse({ status, headers: passingHeaders(rawList(controller.rawHeaders), true) });
    const upgraded = new UpgradedConnection(socket, this.#events, (error) => {
      this.#fail(error);
    });
    this.#upgraded = upgraded;
    const early = this.#early.splice(0);
    const more = early.map((data) => upgraded.write(data)).every(Boolean);
    if (this.#endedEarly) upgraded.end();
    else if (early.length > 0 && more) this.#events.onDrain();
  }

  #requestBody(): Buffer | Readable | null {
    const { body, complete } = this.#options.first ?? { complete: false };
    if (complete) {
      this.#endedEarly = true;
      return body === undefined ? null : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    }
    const stream = new Readable({
      highWaterMark: requestBufferBytes,
      read: () => {
        if (!this.#mustDrain || this.#over) return;
        this.#mustDrain = false;
        this.#events.onDrain();
      },
    });
    // undici destroys it with what happened to the connection, which onResponseError() is told as well.
    stream.on('error', () => undefined);
    if (body !== undefined && body.length > 0) stream.push(body);
    this.#body = stream;
    return stream;
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    const failure = this.#options.failure(error, this.#controller !== undefined);
    this.#break(error instanceof Error ? error : failure);
    // undici refuses an invalid request at once: while its sender still waits for the exchange.
    queueMicrotask(() => {
      if (!this.#cancelled) this.#events.onFailed(failure);
    });
  }

  #break(reason: Error): void {
    this.#early = [];
    this.#body?.destroy();
    this.#upgraded?.destroy();
    this.#controller?.abort(reason);
  }
}

function rawList(raw: Dispatcher.DispatchController['rawHeaders']): readonly (Buffer | string)[] {
  return Array.isArray(raw) ? raw : [];
}
