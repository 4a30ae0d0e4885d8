/** One request on its way between the gateway's stream and an API server: connects the two directions of both. */

import type { Dispatcher } from 'undici';
import { GatewayError } from '../../core/errors.js';
import type {
  TunnelAnswer,
  Exchange,
  ExchangeEvents,
  HeaderList,
  RequestEvents,
  HttpResponseHead,
  TunnelledRequest,
} from '../../tunnel/exchange.js';
import { startHttpExchange } from '../../tunnel/http-exchange.js';
import type { CarriedRequestOutcome } from './open-requests.js';
import { lostAnswer, noAnswer, refusedCredentials, type OwnAnswer } from './own-answers.js';
import type { SentRequest } from './sent-head.js';

export interface CarriedRequestOptions {
  /** Aborted from outside when the account is no longer served; by the request, when its caller is gone. */
  readonly aborting: AbortController;
  /** What a caller is told of a failure. */
  readonly reasonFor: (error: unknown) => string;
  /** Called once. */
  readonly onEnded: (outcome: CarriedRequestOutcome) => void;
}

export class CarriedRequest implements RequestEvents {
  readonly #request: TunnelledRequest;
  readonly #answer: TunnelAnswer;
  readonly #options: CarriedRequestOptions;
  #exchange: Exchange | undefined;
  /** Came before the API server was asked. */
  #held: Uint8Array[] = [];
  #requestEnded = false;
  #responded = false;
  #upgraded = false;
  #answerEnded = false;
  /** Taken, and not yet passed on: bytes of the request, and of the answer. */
  #sending = 0;
  #answering = 0;
  #over = false;

  constructor(request: TunnelledRequest, answer: TunnelAnswer, options: CarriedRequestOptions) {
    this.#request = request;
    this.#answer = answer;
    this.#options = options;
    options.aborting.signal.addEventListener('abort', this.#onAborted);
  }

  /** Nothing of the request has left the agent. */
  fail(error: unknown): void {
    if (!this.#over) this.refuse(noAnswer(this.#request.account, this.#options.reasonFor(error)), 'failed');
  }

  /** Answers without, or instead of, the API server. */
  refuse({ status, headers, body }: OwnAnswer, outcome: CarriedRequestOutcome = 'refused'): void {
    if (this.#over) return;
    this.#end(outcome);
    this.#answer.respond({ status, headers });
    if (this.#request.method !== 'HEAD') this.#answer.write(body);
    this.#answer.end();
  }

  /** @param onRefused called if the API server does not accept the credentials (401); undefined: that is an answer */
  send(dispatcher: Dispatcher, { origin, pathPrefix, head }: SentRequest, onRefused: (() => void) | undefined): void {
    if (this.#over) return;
    const held = this.#held.splice(0);
    const first = this.#requestEnded ? { body: Buffer.concat(held), complete: true } : { complete: false };
    const failure = (error: unknown, sent: boolean): GatewayError =>
      new GatewayError('dependency-unavailable', this.#options.reasonFor(error), { cause: error, unsent: !sent });
    this.#exchange = startHttpExchange(
      dispatcher,
      { origin, pathPrefix, head, first, failure },
      this.#eventsOf(onRefused),
    );
    if (!first.complete) for (const data of held) this.onData(data);
  }

  onData(data: Uint8Array): void {
    if (this.#over) return;
    if (this.#exchange === undefined) {
      this.#held.push(data);
      return;
    }
    this.#sending += data.length;
    if (this.#exchange.write(data)) this.#sent();
  }

  onEnd(): void {
    this.#requestEnded = true;
    this.#exchange?.end();
    if (this.#answerEnded) this.#end('answered');
  }

  onDrain(): void {
    const bytes = this.#answering;
    this.#answering = 0;
    if (bytes > 0) this.#exchange?.consumed(bytes);
  }

  onCancelled(message: string): void {
    if (this.#over) return;
    this.#end('cancelled');
    this.#exchange?.cancel(message);
    this.#options.aborting.abort(new GatewayError('cancelled', message));
  }

  #eventsOf(onRefused: (() => void) | undefined): ExchangeEvents {
    return {
      onResponse: (head) => {
        this.#respond(head, onRefused);
      },
      onData: (data) => {
        this.#answering += data.length;
        if (this.#answer.write(data)) this.onDrain();
      },
      onEnd: (trailers) => {
        this.#endAnswer(trailers);
      },
      onDrain: () => {
        this.#sent();
      },
      onFailed: (error) => {
        this.#fail(error);
      },
    };
  }

  #respond(head: HttpResponseHead, onRefused: (() => void) | undefined): void {
    if (head.status === 401 && onRefused !== undefined) {
      onRefused();
      this.#exchange?.cancel('the API server does not accept the credentials');
      this.refuse(refusedCredentials(this.#request.account), 'failed');
      return;
    }
    this.#responded = true;
    this.#upgraded = head.status === 101;
    this.#answer.respond(head);
  }

  #endAnswer(trailers: HeaderList): void {
    this.#answerEnded = true;
    this.#answer.end(trailers);
    if (!this.#upgraded || this.#requestEnded) this.#end('answered');
  }

  #sent(): void {
    const bytes = this.#sending;
    this.#sending = 0;
    if (bytes > 0) this.#answer.consumed(bytes);
  }

  #fail(error: GatewayError): void {
    const { account, method } = this.#request;
    if (this.#responded) {
      this.#end('failed');
      this.#answer.break(`the API server of account "${account}" ended the connection: ${error.message}`);
    } else if (error.details.unsent === true) {
      this.refuse(noAnswer(account, error.message), 'failed');
    } else {
      this.refuse(lostAnswer(account, method, error.message), 'failed');
    }
  }

  readonly #onAborted = (): void => {
    if (this.#over) return;
    const message = `account "${this.#request.account}" is no longer served by its agent`;
    const responded = this.#responded;
    this.#exchange?.cancel(message);
    if (responded || this.#exchange !== undefined) {
      this.#end('failed');
      this.#answer.break(message);
    } else {
      this.fail(this.#options.aborting.signal.reason);
    }
  };

  #end(outcome: CarriedRequestOutcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#held = [];
    this.#options.aborting.signal.removeEventListener('abort', this.#onAborted);
    this.#options.onEnded(outcome);
  }
}
