/** Both ends of a tunnel, connected in memory, with every message looked at on its way. */

import { AgentTunnel } from '../../src/tunnel/agent-tunnel.js';
import type {
  TunnelAnswer,
  AnswerRequest,
  Exchange,
  ExchangeEvents,
  HeaderList,
  RequestEvents,
  HttpResponseHead,
  TunnelledRequest,
} from '../../src/tunnel/exchange.js';
import { decodeFrames, type TunnelFrame } from '../../src/tunnel/frames.js';
import { GatewayTunnel } from '../../src/tunnel/gateway-tunnel.js';
import type { GatewayError } from '../../src/core/errors.js';

export interface TunnelPair {
  readonly gateway: GatewayTunnel;
  readonly agent: AgentTunnel;
  readonly toAgent: TunnelFrame[];
  readonly toGateway: TunnelFrame[];
  /** Messages in both directions. */
  readonly messages: () => number;
}

/** @param delay when a message arrives, and when its sender may send the next one: a turn later, or as a test decides */
export function tunnelPair(
  answer: AnswerRequest,
  delay: (task: () => void) => void = (task) => setImmediate(task),
): TunnelPair {
  const toAgent: TunnelFrame[] = [];
  const toGateway: TunnelFrame[] = [];
  let messages = 0;
  const gateway: GatewayTunnel = new GatewayTunnel({
    write: (message) => {
      messages += 1;
      toAgent.push(...decodeFrames('kubernetes.GatewayFrames', message));
      delay(() => {
        agent.receive(message);
        gateway.drained();
      });
      return false;
    },
  });
  const agent = new AgentTunnel(
    {
      write: (message) => {
        messages += 1;
        toGateway.push(...decodeFrames('kubernetes.AgentFrames', message));
        delay(() => {
          gateway.receive(message);
          agent.drained();
        });
        return false;
      },
    },
    answer,
  );
  return { gateway, agent, toAgent, toGateway, messages: () => messages };
}

export const aRequest: TunnelledRequest = {
  account: 'a',
  method: 'POST',
  target: '/api/v1/pods?limit=5',
  headers: ['accept', 'application/json'],
  upgrade: '',
};

/** What one side of a request was told. */
export class Told implements ExchangeEvents, RequestEvents {
  readonly chunks: Uint8Array[] = [];
  head: HttpResponseHead | undefined;
  trailers: HeaderList | undefined;
  failure: GatewayError | undefined;
  cancelled: string | undefined;
  drains = 0;
  /** Set by tests that do not read at once. */
  reads: (bytes: number) => void = () => undefined;
  drained: () => void = () => undefined;

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  onResponse(head: HttpResponseHead): void {
    this.head = head;
  }

  onData(data: Uint8Array): void {
    this.chunks.push(data);
    this.reads(data.length);
  }

  onEnd(trailers: HeaderList): void {
    this.trailers = trailers;
  }

  onDrain(): void {
    this.drains += 1;
    this.drained();
  }

  onFailed(error: GatewayError): void {
    this.failure = error;
  }

  onCancelled(message: string): void {
    this.cancelled = message;
  }
}

/** Sends all of it as fast as it may be, in pieces, then the end. */
export function sendAll(to: Exchange | TunnelAnswer, told: Told, data: Uint8Array, piece: number): void {
  let position = 0;
  const go = (): void => {
    while (position < data.length) {
      const next = data.subarray(position, position + piece);
      position += next.length;
      if (!to.write(next)) return;
    }
    to.end();
  };
  told.drained = go;
  go();
}
