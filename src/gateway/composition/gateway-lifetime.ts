/**
 * From the start of a gateway to its end: what its phases took and started. Whoever takes something pushes how to let go
 * of it, and close() lets go in reverse order.
 */

import { setMaxListeners } from 'node:events';
import { GatewayError, messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { Release, ReleaseStack } from '../../core/release-stack.js';

export interface GatewayLifetimeOptions {
  readonly releases: ReleaseStack;
  /** Told when a background loop ends with an error: the gateway is half-dead then. */
  readonly loopDied: (error: GatewayError) => void;
  readonly logger: Logger;
}

export class GatewayLifetime {
  readonly #options: GatewayLifetimeOptions;
  readonly #stopping = new AbortController();

  constructor(options: GatewayLifetimeOptions) {
    this.#options = options;
    // Every loop and everything that waits listens to it.
    setMaxListeners(0, this.#stopping.signal);
  }

  /** Aborted once, when the whole gateway stops and has drained: ends its background loops and all that waits in it. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** As ReleaseStack.push(). */
  push(name: string, release: Release): void {
    this.#options.releases.push(name, release);
  }

  /** Runs a loop until the gateway stops; one that ends before with an error is the end of the gateway. */
  background(name: string, run: (signal: AbortSignal) => Promise<void>): void {
    const { logger, loopDied } = this.#options;
    const running = run(this.stopping).catch((error: unknown) => {
      logger.error({ loop: name, error: messageOf(error) }, 'background loop died');
      loopDied(new GatewayError('internal', `background loop ${name} died: ${messageOf(error)}`, { cause: error }));
    });
    this.push(name, () => running);
  }

  /** Ends loops and waits, then lets go of everything in reverse order. @throws as ReleaseStack.close() */
  close(): Promise<void> {
    this.#stopping.abort(new GatewayError('draining', 'this instance is stopping', { retryAfterMs: 1_000 }));
    return this.#options.releases.close();
  }
}
