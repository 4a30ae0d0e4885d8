/** The agent's side of one kubernetes.Api/Serve for tests: it sends only what a test tells it. */

import { Client, credentials, Metadata, type StatusObject } from '@grpc/grpc-js';
import { decodeFrames, encodeFrames, type TunnelFrame } from '../../src/tunnel/frames.js';

interface RawTeardown {
  teardown(release: () => void): unknown;
}

const asIs = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

export class RawServe {
  readonly frames: TunnelFrame[] = [];
  end: StatusObject | undefined;
  readonly #call;

  /** @param token of the agent; '' for none */
  constructor(t: RawTeardown, address: string, first: readonly TunnelFrame[] = [], token = '') {
    const metadata = new Metadata();
    if (token !== '') metadata.set('authorization', `Bearer ${token}`);
    const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    this.#call = client.makeBidiStreamRequest('/kubernetes.Api/Serve', asIs, (bytes: Buffer) => bytes, metadata);
    t.teardown(() => {
      this.#call.cancel();
      client.close();
    });
    this.#call.on('data', (bytes: Uint8Array) => this.frames.push(...decodeFrames('kubernetes.GatewayFrames', bytes)));
    this.#call.on('error', () => undefined);
    this.#call.on('status', (end) => (this.end = end));
    if (first.length > 0) this.send(...first);
  }

  send(...frames: readonly TunnelFrame[]): void {
    this.#call.write(encodeFrames(frames));
  }

  finish(): void {
    this.#call.end();
  }
}

export const hello = (agentId: string, epoch: number): TunnelFrame => ({ kind: 'hello', request: 0, agentId, epoch });
