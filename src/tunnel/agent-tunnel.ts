/** The agent's end of one stream of kubernetes.Api: takes the gateway's requests, and sends the answers. */

import { GatewayError, toGatewayError } from '../core/errors.js';
import { Channel, type ChannelSchedule } from './channel.js';
import type { TunnelAnswer, AnswerRequest, RequestEvents, HttpResponseHead, TunnelledRequest } from './exchange.js';
import { decodeFrames, type RequestHeadFrame, type TunnelFrame } from './frames.js';
import { checkRequestHead, protocolError } from './head-rules.js';
import { Multiplexer, type TunnelTransport } from './multiplexer.js';

/** For the moment before the one that answers has said what to tell it. */
const noEvents: RequestEvents = {
  onData: () => undefined,
  onEnd: () => undefined,
  onDrain: () => undefined,
  onCancelled: () => undefined,
};

class OpenAnswer extends Channel implements TunnelAnswer {
  readonly request: TunnelledRequest;
  events = noEvents;

  constructor(number: number, schedule: ChannelSchedule, request: TunnelledRequest) {
    super(number, 'answers', schedule, () => this.events);
    this.request = request;
  }

  respond(head: HttpResponseHead): void {
    this.begin({ kind: 'response-head', head });
  }

  break(message: string): void {
    this.cancel(message);
  }
}

export class AgentTunnel {
  readonly #multiplexer: Multiplexer<OpenAnswer>;
  readonly #answer: AnswerRequest;
  #lastNumber = 0;

  constructor(transport: TunnelTransport, answer: AnswerRequest) {
    this.#multiplexer = new Multiplexer(transport);
    this.#answer = answer;
  }

  get openCount(): number {
    return this.#multiplexer.openCount;
  }

  /** The first message: names the Connect stream that this one belongs to. */
  hello(agentId: string, epoch: number): void {
    this.#multiplexer.send({ kind: 'hello', request: 0, agentId, epoch });
  }

  /**
   * Takes a message of the gateway.
   * @throws GatewayError `invalid-argument` if it breaks the protocol: the tunnel is then closed, and the stream must end
   */
  receive(message: Uint8Array): void {
    try {
      for (const frame of decodeFrames('kubernetes.GatewayFrames', message)) {
        if (this.#multiplexer.closed) return;
        this.#receive(frame);
      }
    } catch (thrown) {
      const error = toGatewayError(thrown);
      this.close(`the gateway broke the protocol: ${error.message}`);
      throw error;
    }
  }

  /** The transport takes messages again. */
  drained(): void {
    this.#multiplexer.drained();
  }

  /** Cancels every request. */
  close(message: string): void {
    for (const { events } of this.#multiplexer.close()) events.onCancelled(message);
  }

  /** Breaks off the answers to some requests: those who wait for them are told. */
  breakOff(matches: (request: TunnelledRequest) => boolean, message: string): void {
    for (const answer of [...this.#multiplexer.open]) {
      if (!matches(answer.request)) continue;
      answer.break(message);
      answer.events.onCancelled(message);
    }
  }

  #receive(frame: TunnelFrame): void {
    if (frame.kind === 'unknown') return;
    const { kind, request } = frame;
    if (kind === 'hello' || kind === 'response-head') throw protocolError(request, kind);
    if (kind === 'request-head') {
      this.#begin(frame);
      return;
    }
    const answer = this.#multiplexer.channel(request);
    if (answer === undefined) {
      // Ended here while the frame was on its way.
      if (request > 0 && request <= this.#lastNumber) return;
      throw protocolError(request, 'no such request has come');
    }
    if (kind !== 'cancel') {
      answer.receive(frame);
      return;
    }
    this.#multiplexer.forget(answer);
    answer.close();
    answer.events.onCancelled(frame.message);
  }

  #begin({ request: number, head, body, complete }: RequestHeadFrame): void {
    if (number <= this.#lastNumber) throw protocolError(number, 'a second head');
    checkRequestHead(head, number);
    this.#lastNumber = number;
    const answer = new OpenAnswer(number, this.#multiplexer, head);
    this.#multiplexer.add(answer);
    try {
      answer.events = this.#answer(head, answer);
    } catch (error) {
      answer.break(`the agent failed: ${error instanceof GatewayError ? error.message : 'unexpected error'}`);
      return;
    }
    if (!answer.closed) answer.receiveBody(body, complete);
  }
}
