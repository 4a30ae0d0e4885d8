/**
 * Finds out that a peer has fallen silent while requests without a time limit wait for it: frozen, or cut off with its
 * connections up, where nothing else would end them.
 */

import { wait } from '../../core/retry.js';

export interface SilenceLimits {
  /** How long nothing may come from the peer before it is asked whether it is there, in ms. */
  readonly quietMs: number;
  /** How long it may take to answer, in ms. */
  readonly answerMs: number;
}

/** Together, and with the imprecision of undici's timers, as long as an agent may be silent. */
export const defaultSilenceLimits: SilenceLimits = { quietMs: 2_500, answerMs: 4_000 };

export interface PeerSilenceOptions {
  readonly limits: SilenceLimits;
  /** Whether requests wait for the peer. */
  readonly waiting: () => boolean;
  /** Asks the peer something that it answers at once. @throws if it does not answer */
  readonly ask: (timeoutMs: number) => Promise<void>;
  readonly onSilent: () => void;
}

export class PeerSilence {
  readonly #options: PeerSilenceOptions;
  readonly #closing = new AbortController();
  #heard = false;
  #silent = false;
  #looking = false;

  constructor(options: PeerSilenceOptions) {
    this.#options = options;
  }

  /** It has not answered, and has not been heard since. */
  get silent(): boolean {
    return this.#silent;
  }

  /** Something has come from the peer. */
  heard(): void {
    this.#heard = true;
  }

  /** Requests wait for the peer, or somebody wants to know whether it is back. */
  look(): void {
    if (this.#looking || this.#closing.signal.aborted) return;
    this.#looking = true;
    void this.#run().finally(() => {
      this.#looking = false;
    });
  }

  close(): void {
    this.#closing.abort();
  }

  async #run(): Promise<void> {
    const { limits, waiting, ask, onSilent } = this.#options;
    const { signal } = this.#closing;
    do {
      if (!this.#silent) {
        this.#heard = false;
        await wait(limits.quietMs, signal).catch(() => undefined);
        if (this.#heard || !waiting()) continue;
      }
      const answers = await ask(limits.answerMs).then(
        () => true,
        () => false,
      );
      if (signal.aborted) return;
      this.#silent = !answers && !this.#heard;
      if (this.#silent) onSilent();
    } while (waiting() && !signal.aborted);
  }
}
