/**
 * One HTTP request and its answer, as every part of its way sees them: the tunnel to an agent (gateway-tunnel.ts), and an HTTP/1.1
 * connection to an API server or another replica (http-exchange.ts). Bytes are passed on as they are; nothing is held but
 * what the window allows.
 */

import type { GatewayError } from '../core/errors.js';

/** Name, value, name, value ...: in the order in which they came, a header with several lines several times. */
export type HeaderList = readonly string[];

export interface HttpRequestHead {
  readonly method: string;
  /** Path and query, exactly as the caller wrote them; begins with "/". */
  readonly target: string;
  /** Without hop-by-hop headers and credentials of the caller. */
  readonly headers: HeaderList;
  /** Protocol that the caller asks to change to, "SPDY/3.1" or "websocket"; '' for none. */
  readonly upgrade: string;
}

export interface HttpResponseHead {
  /** 101, or 200 to 599; 101: from now on, the data of both directions are the bytes of the other protocol. */
  readonly status: number;
  /** Without hop-by-hop headers; after 101 with `upgrade`. */
  readonly headers: HeaderList;
}

/** What its opener does with an exchange. After onFailed() or cancel(), every call does nothing. */
export interface Exchange {
  /**
   * Sends part of the request's body, or of the upgraded connection.
   * @returns false: it is kept, but send nothing more before onDrain()
   */
  write(data: Uint8Array): boolean;
  /** Nothing follows in this direction. */
  end(trailers?: HeaderList): void;
  /** So many bytes that onData() gave have been passed on: as many more may come. */
  consumed(bytes: number): void;
  /** The caller is gone: ends the request at the API server. No event follows. */
  cancel(message: string): void;
}

/** What the opener of an exchange is told, after the call that opened it has returned: one onResponse(), any number of onData(), and one onEnd(); or onFailed() at any time. */
export interface ExchangeEvents {
  onResponse(head: HttpResponseHead): void;
  /** Until consumed() is called, at most `exchangeWindowBytes` of them come. */
  onData(data: Uint8Array): void;
  /** The answer is complete. The request's direction may still be open, after 101. */
  onEnd(trailers: HeaderList): void;
  /** write() may be called again. */
  onDrain(): void;
  /**
   * Nothing follows.
   * @param error with `details.unsent` if nothing of the request can have reached an API server
   */
  onFailed(error: GatewayError): void;
}

/**
 * Bytes of a body that one side of an exchange may send before the other has passed them on: 5 MB/s with an agent 50 ms
 * away, and what a request may take of the gateway's memory in each direction.
 */
export const exchangeWindowBytes = 262_144;

/** A request as it reaches an agent. */
export interface TunnelledRequest extends HttpRequestHead {
  readonly account: string;
}

/** What the one that answers a request does: respond() once, write() and end(); or break() at any time, after which every call does nothing. */
export interface TunnelAnswer {
  respond(head: HttpResponseHead): void;
  /** @returns false: it is kept, but send nothing more before onDrain() */
  write(data: Uint8Array): boolean;
  end(trailers?: HeaderList): void;
  /** So many bytes of the request have been passed on: as many more may come. */
  consumed(bytes: number): void;
  /** The answer cannot be completed: its reader is told that it is cut off. */
  break(message: string): void;
}

/** What the one that answers is told. */
export interface RequestEvents {
  /** Part of the request's body, or of the upgraded connection; at most `exchangeWindowBytes` until consumed(). */
  onData(data: Uint8Array): void;
  /** The request is complete. */
  onEnd(trailers: HeaderList): void;
  /** write() may be called again. */
  onDrain(): void;
  /** The caller or the way to it is gone; no answer is wanted any more, and no event follows. */
  onCancelled(message: string): void;
}

/** Answers a request; the events begin after it has returned. */
export type AnswerRequest = (request: TunnelledRequest, answer: TunnelAnswer) => RequestEvents;
