/** Forwards operations to their owners and results to their originators: a client per instance (peer.ts). */

import type { Exchange, ExchangeEvents } from '../../tunnel/exchange.js';
import type { FirstPart } from '../../tunnel/gateway-tunnel.js';
import type { ForwardedApiRequest } from './api-forwarding.js';
import type { ForwardAnswer } from './forwarding.js';
import type { PeerAddress } from './peer-address.js';
import { Peer, type PeerAnswer, type PeerOptions, type PeerRequest } from './peer.js';

/** Peers are the instances that discovery names; beyond this number the one that was added first is dropped. */
const peerLimit = 1_000;

export class Forwarder {
  readonly #options: PeerOptions;
  readonly #peers = new Map<string, Peer>();

  constructor(options: PeerOptions) {
    this.#options = options;
  }

  /**
   * Gives an operation to its owner.
   * @throws GatewayError `not-owner`; `overloaded`, `draining` ... when the peer refuses; `owner-unreachable`, with an
   *   UnknownDelivery as `details.cause` when the peer may have got it all the same
   */
  operation(to: PeerAddress, operation: Uint8Array): Promise<ForwardAnswer> {
    return this.#peer(to).operation(operation);
  }

  /**
   * Sends a result to the instance that waits for it.
   * @throws GatewayError `unknown-operation` or `operation-ended` when that instance does not wait for it;
   *   `owner-unreachable`
   */
  result(to: PeerAddress, result: Uint8Array): Promise<void> {
    return this.#peer(to).result(result);
  }

  /**
   * Asks an instance something that it answers for itself alone.
   * @throws GatewayError `owner-unreachable`
   */
  call(to: PeerAddress, request: PeerRequest): Promise<PeerAnswer> {
    return this.#peer(to).call(request);
  }

  /** Starts a request of the Kubernetes API at another instance. @see ApiForwarding.start */
  apiRequest(to: PeerAddress, request: ForwardedApiRequest, first: FirstPart, events: ExchangeEvents): Exchange {
    return this.#peer(to).api.start(request, first, events);
  }

  /** Messages that wait to be sent to all peers, for metrics. */
  get queueLength(): number {
    let length = 0;
    for (const peer of this.#peers.values()) length += peer.queueLength;
    return length;
  }

  /** Closes the connections to an instance that discovery names no more, as Peer.leave(). */
  async forget(instanceId: string): Promise<void> {
    const peer = this.#peers.get(instanceId);
    this.#peers.delete(instanceId);
    await peer?.leave();
  }

  /** Certificates or authorities have changed: new connections use them. */
  renew(): void {
    for (const peer of this.#peers.values()) peer.renew();
  }

  async stop(): Promise<void> {
    const peers = [...this.#peers.values()];
    this.#peers.clear();
    await Promise.all(peers.map((peer) => peer.close()));
  }

  #peer(to: PeerAddress): Peer {
    const known = this.#peers.get(to.id);
    if (known?.address.baseUrl === to.baseUrl) return known;
    if (known !== undefined) void this.forget(to.id);
    const oldest = this.#peers.keys().next();
    if (this.#peers.size >= peerLimit && oldest.done !== true) void this.forget(oldest.value);
    const peer = new Peer({ id: to.id, baseUrl: to.baseUrl }, this.#options);
    this.#peers.set(to.id, peer);
    return peer;
  }
}
