/**
 * The streams on which the gateway sends requests of the Kubernetes API: each on the connection of a GatewayStream, opened
 * when the gateway asks for it and ended by the gateway.
 */

import type { Logger } from '../../core/logger.js';
import type { AnswerRequest } from '../../tunnel/exchange.js';
import { isWatch } from '../../tunnel/watch-request.js';
import type { GatewayStream } from '../gateway-stream.js';
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
      answer,
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
   * The agent has registered on another stream. Watches are broken off, so that their callers resume them there; other
   * requests keep the connection until they are done.
   * @param longestMs after which they are broken off, too
   */
  retire(stream: GatewayStream, longestMs: number): void {
    const streams = this.#open.get(stream);
    if (streams === undefined) return;
    stream.retain(() => this.busy(stream));
    for (const each of streams) each.retire(isWatch, longestMs);
  }

  /** The stream has ended, and the connection with it, unless the stream was retired and requests are open. */
  ended(stream: GatewayStream, retired: boolean): void {
    if (retired && this.busy(stream)) return;
    for (const each of [...(this.#open.get(stream) ?? [])]) each.close('the connection to the gateway ended');
  }

  /** Cancels all requests. */
  close(message: string): void {
    for (const streams of [...this.#open.values()]) for (const each of [...streams]) each.close(message);
  }

  #idle(stream: GatewayStream): void {
    if (this.busy(stream)) return;
    if (!stream.ended) {
      this.#options.onIdle(stream);
      return;
    }
    for (const each of [...(this.#open.get(stream) ?? [])]) each.close('the connection is not needed any more');
    stream.release();
  }

  #ended(stream: GatewayStream, ended: RequestStream): void {
    const streams = this.#open.get(stream);
    streams?.delete(ended);
    if (streams?.size === 0) this.#open.delete(stream);
    this.#idle(stream);
  }
}
