/** The gateway's end of one stream of kubernetes.Api: sends requests to an agent, and takes its answers. */

import { GatewayError, toGatewayError } from '../core/errors.js';
import { Channel, type ChannelSchedule } from './channel.js';
import type { Exchange, ExchangeEvents, TunnelledRequest } from './exchange.js';
import { decodeFrames, type ResponseHeadFrame, type TunnelFrame } from './frames.js';
import { checkResponseHead, protocolError } from './head-rules.js';
import { Multiplexer, type TunnelTransport } from './multiplexer.js';
import { requestKind, type ApiRequestKind, type OpenByKind } from './request-kind.js';

/** The beginning of a request's body. */
export interface FirstPart {
  readonly body?: Uint8Array;
  /** There is no more of it. */
  readonly complete: boolean;
}

/** What an agent says of itself with its first frame. */
export interface TunnelHello {
  readonly agentId: string;
  readonly epoch: number;
}

const longestMessage = 1_024;

class OpenExchange extends Channel implements Exchange {
  readonly request: TunnelledRequest;
  readonly events: ExchangeEvents;
  readonly #onClosed: () => void;
  #responded = false;

  constructor(
    number: number,
    schedule: ChannelSchedule,
    request: TunnelledRequest,
    events: ExchangeEvents,
    onClosed: () => void,
  ) {
    super(number, 'asks', schedule, () => events);
    this.request = request;
    this.events = events;
    this.#onClosed = onClosed;
  }

  override close(): void {
    if (!this.closed) this.#onClosed();
    super.close();
  }

  respond({ head, body, complete }: ResponseHeadFrame): void {
    if (this.#responded) throw protocolError(this.number, 'a second head');
    checkResponseHead(head, this.number);
    if (head.status === 101 && this.request.upgrade === '') throw protocolError(this.number, 'status 101');
    this.#responded = true;
    if (head.status === 101) this.upgrade();
    this.events.onResponse(head);
    if (!this.closed) this.receiveBody(body, complete);
  }

  override receive(frame: Parameters<Channel['receive']>[0]): void {
    if (!this.#responded && frame.kind !== 'consumed')
      throw protocolError(this.number, `${frame.kind} before the head`);
    super.receive(frame);
  }

  fail({ code, message, details }: GatewayError): void {
    const { unsent: _, ...others } = details;
    this.events.onFailed(new GatewayError(code, message, this.headSent ? others : { ...others, unsent: true }));
  }
}

export class GatewayTunnel {
  readonly #multiplexer: Multiplexer<OpenExchange>;
  #lastNumber = 0;
  #receivedBytes = 0;
  readonly #openByKind: Record<ApiRequestKind, number> = { request: 0, watch: 0, upgrade: 0 };

  constructor(transport: TunnelTransport) {
    this.#multiplexer = new Multiplexer(transport);
  }

  get openByKind(): OpenByKind {
    return this.#openByKind;
  }

  get openCount(): number {
    return this.#multiplexer.openCount;
  }

  /** Requests that are open. */
  get requests(): readonly TunnelledRequest[] {
    return Array.from(this.#multiplexer.open, ({ request }) => request);
  }

  /** Of messages, in each direction. */
  get bytes(): { readonly sent: number; readonly received: number } {
    return { sent: this.#multiplexer.sentBytes, received: this.#receivedBytes };
  }

  /**
   * Sends a request. The events come later, never before this returns.
   * @throws GatewayError `agent-lost` and unsent, if the tunnel is closed
   */
  open(request: TunnelledRequest, first: FirstPart, events: ExchangeEvents): Exchange {
    if (this.#multiplexer.closed)
      throw new GatewayError('agent-lost', 'the stream to the agent is closed', {
        unsent: true,
        account: request.account,
      });
    this.#lastNumber += 1;
    const kind = requestKind(request);
    this.#openByKind[kind] += 1;
    const exchange = new OpenExchange(this.#lastNumber, this.#multiplexer, request, events, () => {
      this.#openByKind[kind] -= 1;
    });
    this.#multiplexer.add(exchange);
    exchange.begin({ kind: 'request-head', head: request });
    if (first.body !== undefined) exchange.write(first.body);
    if (first.complete) exchange.end();
    return exchange;
  }

  /**
   * Takes a message of the agent.
   * @throws GatewayError `invalid-argument` if it breaks the protocol: the tunnel is then closed, and the stream must end
   */
  receive(message: Uint8Array): void {
    this.#receivedBytes += message.length;
    try {
      for (const frame of decodeFrames('kubernetes.AgentFrames', message)) {
        if (this.#multiplexer.closed) return;
        this.#receive(frame);
      }
    } catch (thrown) {
      const error = toGatewayError(thrown);
      this.close(new GatewayError('agent-lost', `the agent broke the protocol: ${error.message}`, { cause: thrown }));
      throw error;
    }
  }

  /** The transport takes messages again. */
  drained(): void {
    this.#multiplexer.drained();
  }

  /** Fails every open request; those of which nothing was sent with `details.unsent`. */
  close(error: GatewayError): void {
    for (const exchange of this.#multiplexer.close()) exchange.fail(error);
  }

  #receive(frame: TunnelFrame): void {
    if (frame.kind === 'unknown') return;
    const { kind, request } = frame;
    if (kind === 'hello' || kind === 'request-head') throw protocolError(request, kind);
    const exchange = this.#multiplexer.channel(request);
    if (exchange === undefined || !exchange.headSent) {
      // Ended here while the frame was on its way.
      if (exchange === undefined && request > 0 && request <= this.#lastNumber) return;
      throw protocolError(request, 'no such request was sent');
    }
    switch (kind) {
      case 'response-head':
        exchange.respond(frame);
        return;
      case 'cancel':
        this.#multiplexer.forget(exchange);
        exchange.close();
        exchange.fail(new GatewayError('agent-lost', `the agent broke off the answer: ${plain(frame.message)}`));
        return;
      default:
        exchange.receive(frame);
    }
  }
}

/** The first frame of an agent, and the message without it. @throws GatewayError `invalid-argument` if it is not a Hello */
export function readHello(message: Uint8Array): TunnelHello {
  const [hello, ...others] = decodeFrames('kubernetes.AgentFrames', message);
  if (hello?.kind !== 'hello' || hello.request !== 0 || others.length > 0)
    throw new GatewayError('invalid-argument', 'hello: expected one Hello as the first message of the stream', {
      field: 'hello',
    });
  return hello;
}

/** The message of the other side, which is not trusted. */
function plain(message: string): string {
  return message.replaceAll(/\p{C}+/gu, ' ').slice(0, longestMessage);
}
