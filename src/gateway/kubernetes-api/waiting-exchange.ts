/** A request for an agent that has not yet opened its stream: kept with the beginning of its body until then. */

import { GatewayError } from '../../core/errors.js';
import type { Exchange, ExchangeEvents, HeaderList, TunnelledRequest } from '../../tunnel/exchange.js';
import type { FirstPart, GatewayTunnel } from '../../tunnel/gateway-tunnel.js';
import { requestKind, type ApiRequestKind } from '../../tunnel/request-kind.js';

export class WaitingExchange implements Exchange {
  readonly kind: ApiRequestKind;
  readonly #request: TunnelledRequest;
  readonly #first: FirstPart;
  readonly #events: ExchangeEvents;
  readonly #forget: () => void;
  /** Once it is sent. */
  #exchange: Exchange | undefined;
  readonly #chunks: Uint8Array[] = [];
  #trailers: HeaderList | undefined;
  #over = false;

  /** @param forget called when it is cancelled before it is sent */
  constructor(request: TunnelledRequest, first: FirstPart, events: ExchangeEvents, forget: () => void) {
    this.kind = requestKind(request);
    this.#request = request;
    this.#first = first;
    this.#events = events;
    this.#forget = forget;
  }

  /** The caller sends one piece, and then waits until the stream is open. */
  write(data: Uint8Array): boolean {
    if (this.#exchange !== undefined) return this.#exchange.write(data);
    if (this.#over) return true;
    this.#chunks.push(data);
    return false;
  }

  end(trailers: HeaderList = []): void {
    if (this.#exchange === undefined) this.#trailers ??= trailers;
    else this.#exchange.end(trailers);
  }

  consumed(bytes: number): void {
    this.#exchange?.consumed(bytes);
  }

  cancel(message: string): void {
    this.#over = true;
    if (this.#exchange === undefined) this.#forget();
    else this.#exchange.cancel(message);
  }

  /** The stream is open. */
  attach(tunnel: GatewayTunnel): void {
    const exchange = tunnel.open(this.#request, this.#first, this.#events);
    this.#exchange = exchange;
    const waits = this.#chunks.length > 0;
    let more = true;
    for (const chunk of this.#chunks) more = exchange.write(chunk);
    this.#chunks.length = 0;
    if (this.#trailers !== undefined) exchange.end(this.#trailers);
    else if (waits && more) this.#events.onDrain();
  }

  /** The stream does not come. */
  fail({ code, message, details }: GatewayError): void {
    this.#over = true;
    const { account } = this.#request;
    this.#events.onFailed(new GatewayError(code, message, { ...details, account, unsent: true }));
  }
}
