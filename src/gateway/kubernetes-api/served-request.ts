/**
 * One request of the Kubernetes API, from a caller to an exchange and back. Bytes are passed on in both directions as fast
 * as the slower side takes them.
 *
 * A watch that loses its source ends between two events, so that its client resumes from the last one; any other answer
 * that breaks off is cut, so that its client knows. An object or a list is held until it is complete or grows too long: if
 * it breaks off before, its caller gets an error that says to try again, not half an answer. Only the entry does either: an
 * owner cuts every answer, and the entry sees it.
 */

import { GatewayError, toGatewayError } from '../../core/errors.js';
import type { Exchange, ExchangeEvents, HeaderList, HttpResponseHead } from '../../tunnel/exchange.js';
import type { FirstPart } from '../../tunnel/gateway-tunnel.js';
import { readerWindowBytes } from '../../tunnel/window.js';
import type { Caller, CallerEvents } from './caller.js';
import { responseTrailers } from './headers.js';
import { watchBoundary, type WatchBoundary } from './watch-boundary.js';

/** How a request ended, and what it carried. */
export interface ServedEnd {
  /** Of the answer, if one began. */
  readonly status: number | undefined;
  /** The answer is the gateway's own. */
  readonly refused: boolean;
  /** Absent: the answer is complete. `cancelled` if the caller went. */
  readonly failure: GatewayError | undefined;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

export interface ServedRequestOptions {
  readonly caller: Caller;
  readonly method: string;
  /** Of its body, in bytes, as its head says it; undefined: it does not. */
  readonly bodyLength: number | undefined;
  readonly upgrade: boolean;
  /** The head of an answer as the caller gets it. */
  readonly passed: (head: HttpResponseHead) => HttpResponseHead;
  /** The gateway's own answer. */
  readonly answerOf: (error: GatewayError) => { readonly head: HttpResponseHead; readonly body: Uint8Array };
  readonly onEnd: (end: ServedEnd) => void;
}

/**
 * What an answer is to its caller: a stream of events; an object, a list or another document, which is of no use until it is
 * complete; or bytes that are passed on as they are.
 */
export type AnswerKind = 'watch' | 'document' | 'bytes';

/** A body up to this many bytes is sent together with the head. */
const gatheredBytes = 65_536;

interface HeldAnswer {
  readonly head: HttpResponseHead;
  readonly pieces: Uint8Array[];
  bytes: number;
  /** The caller is getting it. What its source sends meanwhile, because pieces are consumed, queues behind them. */
  released: boolean;
  /** Of the end, if that came meanwhile, too. */
  trailers: HeaderList | undefined;
}

export class ServedRequest implements CallerEvents, ExchangeEvents {
  readonly #options: ServedRequestOptions;
  readonly #caller: Caller;
  #exchange: Exchange | undefined;
  #start: ((first: FirstPart, events: ExchangeEvents) => Exchange) | undefined;
  /** The body that comes before the exchange is opened. */
  #gathered: Uint8Array[] | undefined;
  #callerEnded = false;
  #answered = false;
  #status: number | undefined;
  #refused = false;
  /** Of a watch that may end cleanly. */
  #watch: 'no' | 'yes' | WatchBoundary = 'no';
  #draining = false;
  #mayHold = false;
  /** An answer of which the caller has nothing yet; its source has not been told that it is consumed. */
  #held: HeldAnswer | undefined;
  /** Bytes of the answer's body that its head promises and that are missing; undefined: it does not say how many. */
  #missing: number | undefined;
  /** Bytes that the caller has not taken yet. */
  #unread = 0;
  #requestBytes = 0;
  #responseBytes = 0;
  #ended = false;

  constructor(options: ServedRequestOptions) {
    this.#options = options;
    this.#caller = options.caller;
    this.#caller.pause();
    this.#caller.listen(this);
  }

  /**
   * Sends the request, as soon as its body is here if that is small.
   * @param kind of its answer; `bytes` if another replica faces its caller
   */
  begin(kind: AnswerKind, start: (first: FirstPart, events: ExchangeEvents) => Exchange): void {
    if (this.#ended) return;
    const { bodyLength, upgrade } = this.#options;
    if (kind === 'watch') this.#watch = 'yes';
    this.#mayHold = kind === 'document';
    this.#start = start;
    if (bodyLength === 0 && !upgrade) {
      this.#callerEnded = true;
      this.#open({ complete: true });
    } else if (bodyLength !== undefined && bodyLength > 0 && bodyLength <= gatheredBytes) {
      this.#gathered = [];
      this.#caller.resume();
    } else {
      // The rest follows after onDrain().
      this.#open({ complete: false });
    }
  }

  /** Answers with an error of the gateway. */
  refuse(error: GatewayError): void {
    if (this.#ended || this.#answered) return;
    this.#answered = true;
    this.#refused = true;
    const { head, body } = this.#options.answerOf(error);
    this.#status = head.status;
    this.#responseBytes += body.length;
    if (this.#draining) this.#caller.endConnection();
    this.#caller.respond(head);
    this.#caller.write(body);
    this.#caller.end([]);
    this.#finish(error);
  }

  /** Ends a watch at the next boundary; other requests go on. The caller's next request takes another connection. */
  drain(): void {
    this.#draining = true;
    this.#endDrainedWatch();
  }

  /** Breaks off in both directions: this instance stops. */
  cut(): void {
    this.#caller.cut();
    this.onCallerGone();
  }

  onCallerData(data: Uint8Array): void {
    this.#requestBytes += data.length;
    if (this.#gathered !== undefined) this.#gathered.push(data);
    else if (this.#exchange?.write(data) === false) this.#caller.pause();
  }

  onCallerEnd(): void {
    if (this.#callerEnded || this.#ended) return;
    this.#callerEnded = true;
    if (this.#gathered === undefined) {
      this.#exchange?.end();
      return;
    }
    const body = this.#gathered.length === 1 ? this.#gathered[0] : Buffer.concat(this.#gathered);
    this.#gathered = undefined;
    this.#open({ ...(body === undefined ? {} : { body }), complete: true });
  }

  onCallerDrain(): void {
    const bytes = this.#unread;
    this.#unread = 0;
    if (bytes > 0) this.#exchange?.consumed(bytes);
  }

  onCallerGone(): void {
    if (this.#ended) return;
    const gone = new GatewayError('cancelled', 'the caller closed its connection');
    this.#exchange?.cancel(gone.message);
    // An upgraded connection that was closed is over, however it was closed.
    this.#finish(this.#status === 101 ? undefined : gone);
  }

  onResponse(head: HttpResponseHead): void {
    if (this.#ended) return;
    this.#missing = bodyLengthOf(this.#options.method, head);
    if (this.#mayHold && mayHold(head, this.#missing)) {
      this.#held = { head, pieces: [], bytes: 0, released: false, trailers: undefined };
    } else this.#respond(head);
  }

  #respond(head: HttpResponseHead): void {
    this.#answered = true;
    this.#status = head.status;
    if (this.#watch === 'yes') this.#watch = head.status === 200 ? watchBoundary(contentType(head.headers)) : 'no';
    try {
      if (this.#draining) this.#caller.endConnection();
      this.#caller.respond(this.#options.passed(head));
    } catch (error) {
      this.#breakOff(toGatewayError(error));
      return;
    }
    this.#endDrainedWatch();
  }

  onData(data: Uint8Array): void {
    if (this.#ended) return;
    if (this.#missing !== undefined) {
      this.#missing -= data.length;
      // The caller would take what follows for the answer to its next request.
      if (this.#missing < 0) {
        this.#breakOff(new GatewayError('agent-lost', 'the answer is longer than its head says'));
        return;
      }
    }
    const held = this.#held;
    if (held === undefined) {
      this.#pass(data);
      return;
    }
    held.pieces.push(data);
    held.bytes += data.length;
    // Its source stops here.
    if (held.bytes >= readerWindowBytes && !held.released) this.#release();
  }

  #pass(data: Uint8Array): void {
    this.#responseBytes += data.length;
    if (typeof this.#watch === 'object') this.#watch.push(data);
    if (this.#caller.write(data)) this.#exchange?.consumed(data.length);
    else this.#unread += data.length;
    this.#endDrainedWatch();
  }

  /** The caller gets what was held, and from now on what comes. */
  #release(): void {
    const held = this.#held;
    if (held === undefined) return;
    held.released = true;
    this.#respond(held.head);
    for (const piece of held.pieces) if (!this.#ended) this.#pass(piece);
    this.#held = undefined;
    if (held.trailers !== undefined) this.onEnd(held.trailers);
  }

  onEnd(trailers: HeaderList): void {
    if (this.#ended) return;
    if (this.#held?.released === true) {
      this.#held.trailers = trailers;
      return;
    }
    if (this.#missing !== undefined && this.#missing > 0) {
      this.#breakOff(new GatewayError('agent-lost', 'the answer is shorter than its head says'));
      return;
    }
    this.#release();
    if (this.#ended) return;
    this.#caller.end(responseTrailers(trailers));
    // The caller may still send on an upgraded connection; its end is heard from its socket.
    if (this.#status !== 101) this.#finish(undefined);
  }

  onDrain(): void {
    if (!this.#ended && !this.#callerEnded) this.#caller.resume();
  }

  onFailed(error: GatewayError): void {
    if (this.#ended) return;
    this.#held = undefined;
    if (!this.#answered) {
      this.refuse(error);
      return;
    }
    if (typeof this.#watch === 'object' && this.#watch.reached) this.#caller.end([]);
    else this.#caller.cut();
    this.#finish(error);
  }

  /** An answer that cannot be passed on. */
  #breakOff(error: GatewayError): void {
    this.#exchange?.cancel(error.message);
    if (this.#held !== undefined) {
      this.onFailed(error);
      return;
    }
    this.#caller.cut();
    this.#finish(error);
  }

  #open(first: FirstPart): void {
    try {
      this.#exchange = this.#start?.(first, this);
    } catch (error) {
      this.refuse(toGatewayError(error));
    }
  }

  #endDrainedWatch(): void {
    if (!this.#draining || typeof this.#watch !== 'object' || !this.#watch.reached || this.#ended) return;
    this.#exchange?.cancel('this instance is shutting down');
    this.#caller.end([]);
    this.#finish(undefined);
  }

  #finish(failure: GatewayError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#exchange = undefined;
    this.#options.onEnd({
      status: this.#status,
      refused: this.#refused,
      failure,
      requestBytes: this.#requestBytes,
      responseBytes: this.#responseBytes,
    });
  }
}

/** Documents of the API server have one of these types; a stream of anything else must not wait. */
const documentTypes = /^application\/(?:json|yaml|vnd\.kubernetes\.protobuf|com\.github\.proto-openapi\.|cbor)/iu;

/** @param length of the body, if its head says it: one that is too long is not held at all */
function mayHold({ status, headers }: HttpResponseHead, length: number | undefined): boolean {
  return status !== 101 && (length ?? 0) < readerWindowBytes && documentTypes.test(contentType(headers));
}

function contentType(headers: HeaderList): string {
  return valueOf('content-type', headers) ?? '';
}

/** Bytes of an answer's body, by its head; undefined: it does not say. */
function bodyLengthOf(method: string, { status, headers }: HttpResponseHead): number | undefined {
  if (status === 101) return undefined;
  if (method === 'HEAD' || status === 204 || status === 304) return 0;
  const length = valueOf('content-length', headers);
  return length === undefined ? undefined : Number(length);
}

function valueOf(name: string, headers: HeaderList): string | undefined {
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (headers[index]?.toLowerCase() === name) return headers[index + 1] ?? '';
  }
  return undefined;
}
