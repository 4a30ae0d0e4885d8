/** Routing in memory: the owner takes what it is given, until a test says otherwise. The real one: ../routing.test.ts. */

import type { Originated, Target } from '../../../../src/gateway/operations/operation.js';
import type { Routing } from '../../../../src/gateway/operations/routing.js';

export class RoutingDouble implements Pick<Routing, 'target' | 'deliverHere' | 'route'> {
  readonly #stopping = new AbortController();
  /** Who the owner is, or why there is none. */
  owner: Target | Promise<Target> | Error = { instanceId: 'there', agentId: 'agent', epoch: 1 };
  /** Why no owner takes anything. */
  refusal: Error | undefined;
  /** The owner answers only after it. */
  gate: Promise<void> = Promise.resolve();
  /** What was given to it, in order. */
  readonly given: Originated[] = [];

  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  stop(error: Error): void {
    this.#stopping.abort(error);
  }

  target(): Target | Promise<Target> {
    return this.owner instanceof Error ? Promise.reject(this.owner) : this.owner;
  }

  deliverHere(): boolean {
    return false;
  }

  async route(operation: Originated): Promise<void> {
    this.given.push(operation);
    operation.routing = true;
    try {
      await this.gate;
      if (this.refusal !== undefined) throw this.refusal;
      operation.taken = { ...(await this.target()), processedTime: 1, sentTime: 2 };
    } finally {
      operation.routing = false;
    }
  }
}
