/** An exchange with a span around it, whose context goes on in the headers of the request. */

import { toGatewayError, type GatewayError } from '../../core/errors.js';
import type { Exchange, ExchangeEvents, HeaderList, HttpResponseHead } from '../../tunnel/exchange.js';
import type { Tracing } from '../telemetry/tracing.js';
import { startRequestSpan, type RequestSpan, type RequestSpanOptions } from './request-span.js';
import type { OpenExchange } from './routing.js';
import { traceOf, withTrace } from './trace-headers.js';

/** When tracing is off, it is `open` itself. @param describe which span it is */
export function traced<To>(
  tracing: Tracing,
  open: OpenExchange<To>,
  describe: (to: To) => Pick<RequestSpanOptions, 'name' | 'peer' | 'agentId'>,
): OpenExchange<To> {
  if (!tracing.enabled) return open;
  return (to, request, first, events) => {
    const { account, headers } = request;
    const span = startRequestSpan(tracing, { ...describe(to), parent: traceOf(headers), account });
    const inside = { ...request, headers: withTrace(headers, span.context) };
    return new TracedExchange(span, events, (own) => open(to, inside, first, own));
  };
}

class TracedExchange implements Exchange, ExchangeEvents {
  readonly #span: RequestSpan;
  readonly #events: ExchangeEvents;
  readonly #exchange: Exchange;
  #status: number | undefined;
  #ended = false;

  /** @throws what `open` throws */
  constructor(span: RequestSpan, events: ExchangeEvents, open: (events: ExchangeEvents) => Exchange) {
    this.#span = span;
    this.#events = events;
    try {
      this.#exchange = open(this);
    } catch (error) {
      this.#end(toGatewayError(error));
      throw error;
    }
  }

  write(data: Uint8Array): boolean {
    return this.#exchange.write(data);
  }

  end(trailers?: HeaderList): void {
    this.#exchange.end(trailers);
  }

  consumed(bytes: number): void {
    this.#exchange.consumed(bytes);
  }

  cancel(message: string): void {
    this.#end();
    this.#exchange.cancel(message);
  }

  onResponse(head: HttpResponseHead): void {
    this.#status = head.status;
    this.#events.onResponse(head);
  }

  onData(data: Uint8Array): void {
    this.#events.onData(data);
  }

  onEnd(trailers: HeaderList): void {
    this.#end();
    this.#events.onEnd(trailers);
  }

  onDrain(): void {
    this.#events.onDrain();
  }

  onFailed(error: GatewayError): void {
    this.#end(error);
    this.#events.onFailed(error);
  }

  #end(failure?: GatewayError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#span.end(this.#status, failure);
  }
}
