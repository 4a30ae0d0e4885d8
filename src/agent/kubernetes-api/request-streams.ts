/**
 * The streams on which the gateway sends requests of the Kubernetes API: each on the connection of a GatewayStream, opened
 * when the gateway asks for it and ended by the gateway.
 */

import type { Logger } from '../../core/logger.js';
import type { AnswerRequest } from '../../tunnel/exchange.js';
import { isWatch } from '../../tunnel/watch-request.js';
import type { GatewayStream } from '../gateway-stream.js';
import { refuseStopping } from './own-answers.js';
import { RequestStream } from './request-stream.js';

export interface RequestStreamsOptions {
  /** Absent: no stream is opened. */
  readonly answer: AnswerRequest | undefined;
  readonly logger: Logger;
  /** No request is open on the connection of this stream any more. */
  readonly onIdle: (stream: GatewayStream) => void;
}

export class RequestStreams {
  readonly #options: RequestStreamsOptions;
  readonly #open = new Map<GatewayStream, Set<RequestStream>>();
  /** Set when the agent stops. */
  #onDrained: (() => void) | undefined;

  constructor(options: RequestStreamsOptions) {
    this.#options = options;
  }

  /** The gateway asks for a stream: it has none, or has just ended it. */
  open(stream: GatewayStream): void {
    const { answer, logger } = this.#options;
    const call = answer === undefined ? undefined : stream.openKubernetesApi();
    if (call === undefined || answer === undefined) return;
    const { agentId } = stream.registration;
    const opened: RequestStream = new RequestStream(call, {
      agentId,
      epoch: stream.epoch,
      answer: (request, to) => (this.#onDrained === undefined ? answer(request, to) : refuseStopping(request, to)),
      logger,
      onIdle: () => this.#idle(stream),
      onEnd: () => this.#ended(stream, opened),
    });
    const others = this.#open.get(stream);
    if (others === undefined) this.#open.set(stream, new Set([opened]));
    else others.add(opened);
  }

  /** Whether a request is open on the connection of this stream. */
  busy(stream: GatewayStream): boolean {
    for (const { openCount } of this.#open.get(stream) ?? []) if (openCount > 0) return true;
    return false;
  }

  /**
   * The stream has ended, or the agent has registered on another one. Watches are broken off, so that their callers resume
   * them there. Other requests keep the connection until they are done, and until the gateway ends the stream that
   * carries them: it alone knows whether one is still on its way.
   * @param longestMs after which they are broken off, too
   */
  retire(stream: GatewayStream, longestMs: number): void {
    const streams = this.#open.get(stream);
    if (streams === undefined) return;
    stream.retain(() => this.#open.has(stream));
    for (const each of streams) each.retire(isWatch, longestMs);
  }

  /**
   * The agent stops: new requests are refused, watches are broken off, and others end. Resolves when they have, or when
   * the signal aborts.
   */
  async drain(signal: AbortSignal): Promise<void> {
    const message = 'the agent stops';
    await new Promise<void>((resolve) => {
      this.#onDrained = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
      for (const streams of this.#open.values()) for (const each of streams) each.breakOff(isWatch, message);
      this.#offerDrained();
    });
  }

  /** Cancels all requests. */
  close(message: string): void {
    for (const streams of [...this.#open.values()]) for (const each of [...streams]) each.close(message);
  }

  #idle(stream: GatewayStream): void {
    if (stream.ended) stream.release();
    else if (!this.busy(stream)) this.#options.onIdle(stream);
    this.#offerDrained();
  }

  #offerDrained(): void {
    if (this.#onDrained === undefined) return;
    for (const stream of this.#open.keys()) if (this.busy(stream)) return;
    this.#onDrained();
  }

  #ended(stream: GatewayStream, ended: RequestStream): void {
    const streams = this.#open.get(stream);
    streams?.delete(ended);
    if (streams?.size === 0) this.#open.delete(stream);
    this.#idle(stream);
  }
}
