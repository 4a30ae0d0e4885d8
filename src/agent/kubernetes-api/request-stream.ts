/** The agent's end of one `kubernetes.Api/Serve`, from its Hello to its status. */

import { status, type StatusObject } from '@grpc/grpc-js';
import { messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { AgentTunnel } from '../../tunnel/agent-tunnel.js';
import type { AnswerRequest, TunnelledRequest } from '../../tunnel/exchange.js';
import type { KubernetesApiCall } from '../gateway-stream.js';

export interface RequestStreamOptions {
  readonly agentId: string;
  /** Of the connection (Registered.epoch). */
  readonly epoch: bigint;
  readonly answer: AnswerRequest;
  readonly logger: Logger;
  /** No request is open, and everything is sent. */
  readonly onIdle: () => void;
  /** Called once. */
  readonly onEnd: () => void;
}

export class RequestStream {
  readonly #call: KubernetesApiCall;
  readonly #tunnel: AgentTunnel;
  readonly #onIdle: () => void;
  #writing = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(call: KubernetesApiCall, { agentId, epoch, answer, logger, onIdle, onEnd }: RequestStreamOptions) {
    this.#call = call;
    this.#onIdle = onIdle;
    this.#tunnel = new AgentTunnel({ write: (message) => this.#write(message) }, answer);
    call.on('data', (message: Uint8Array) => {
      try {
        this.#tunnel.receive(message);
        this.#offerIdle();
      } catch (error) {
        logger.error({ error: messageOf(error) }, 'requests of the Kubernetes API: the stream ends');
        call.cancel();
      }
    });
    // Every end arrives as a status, whether or not an error event came before it.
    call.on('error', () => undefined);
    call.on('status', ({ code, details }: StatusObject) => {
      clearTimeout(this.#timer);
      if (code !== status.OK && code !== status.CANCELLED)
        logger.warn({ status: status[code] }, `stream for requests of the Kubernetes API ended: ${details}`);
      this.#tunnel.close(`the stream to the gateway ended: ${details || String(status[code])}`);
      // The gateway has ended its direction, and waits for this one.
      call.end();
      onEnd();
    });
    this.#tunnel.hello(agentId, Number(epoch));
  }

  get openCount(): number {
    return this.#tunnel.openCount;
  }

  /** Breaks off the answers to some requests. */
  breakOff(matches: (request: TunnelledRequest) => boolean, message: string): void {
    this.#tunnel.breakOff(matches, message);
  }

  /** Breaks off the requests that `matches`, and after `longestMs` all others. */
  retire(matches: (request: TunnelledRequest) => boolean, longestMs: number): void {
    this.#tunnel.breakOff(matches, 'the agent has connected to another instance');
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.close('the agent has connected to another instance'), longestMs);
  }

  /** Cancels all requests, and ends the stream. */
  close(message: string): void {
    this.#tunnel.close(message);
    this.#call.cancel();
  }

  /** One message at a time: what comes up meanwhile shares the next one. */
  #write(message: Uint8Array): boolean {
    this.#writing += 1;
    this.#call.write(message, () => {
      this.#writing -= 1;
      this.#tunnel.drained();
      this.#offerIdle();
    });
    return false;
  }

  #offerIdle(): void {
    if (this.#writing === 0 && this.#tunnel.openCount === 0) this.#onIdle();
  }
}
