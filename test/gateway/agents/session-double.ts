/** What sessions are given in tests: a transport that keeps what it is told, and frames that read as text. */

import type { GatewayError } from '../../../src/core/errors.js';
import type { SessionFrames } from '../../../src/gateway/agents/session-frames.js';
import type { AgentTransport } from '../../../src/gateway/agents/session.js';

const encode = (text: string): Uint8Array => Buffer.from(text);

export class TransportDouble implements AgentTransport {
  readonly address = 'test:1';
  readonly sent: string[] = [];
  writable = true;
  paused = false;
  ends: (GatewayError | undefined)[] = [];

  write(frame: Uint8Array): boolean {
    this.sent.push(Buffer.from(frame).toString('latin1'));
    return this.writable;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(error?: GatewayError): void {
    this.ends.push(error);
  }
}

export const frames: SessionFrames = {
  registered: (epoch) => encode(`registered ${epoch}`),
  caching: (start, stop) => encode(`caching +${start.join()} -${stop.join()}`),
  reconnect: (reason, delayMs) => encode(`reconnect ${reason} ${delayMs}`),
  ping: (sequence) => encode(`ping ${sequence}`),
  addAccount: ({ name, version }) => encode(`add ${name} ${version}`),
  deleteAccounts: (names) => encode(`delete ${names.join()}`),
  openKubernetesApi: () => encode('open Kubernetes API'),
};
