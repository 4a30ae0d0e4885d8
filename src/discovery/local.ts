/** Discovery for a gateway of one instance: itself. */

import type { Logger } from '../core/logger.js';
import type { Discovery } from './discovery.js';
import { Membership } from './membership.js';

export interface LocalDiscoveryOptions {
  readonly self: { readonly id: string; readonly baseUrl: string };
  readonly logger: Logger;
}

export class LocalDiscovery extends Membership implements Discovery {
  readonly #self: { readonly id: string; readonly baseUrl: string };
  #ready = false;

  constructor(options: LocalDiscoveryOptions) {
    super(options.logger);
    this.#self = options.self;
  }

  start(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    this.replace([{ ...this.#self, ready: this.#ready }]);
    this.setKnown();
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.setStopped();
    return Promise.resolve();
  }

  setReady(ready: boolean): void {
    this.#ready = ready;
    if (this.state().status === 'known') this.replace([{ ...this.#self, ready }]);
  }
}
