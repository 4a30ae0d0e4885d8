/** The requests under way, by account: their number is limited, and they end with their account. */

import type { AccessLevel } from '../../kubernetes/request-info.js';
import type { Cluster } from '../kubernetes/cluster.js';

/** What an account has to do with requests of its Kubernetes API. */
export interface RequestedAccount {
  readonly cluster: Cluster;
  readonly apiAccess: AccessLevel;
  /** Aborts when the account is no longer served. */
  readonly closing: AbortController;
}

export type CarriedRequestOutcome = 'answered' | 'refused' | 'failed' | 'cancelled';

export interface ApiRequestsObserver {
  began(): void;
  /** Once after each began(). */
  ended(outcome: CarriedRequestOutcome): void;
}

export class OpenRequests {
  readonly #most: number;
  readonly #open = new Map<AbortSignal, Set<AbortController>>();

  /** @param most requests under way of one account */
  constructor(most: number) {
    this.#most = most;
  }

  /**
   * @param account aborts when the account is no longer served
   * @param request aborted then, too
   * @returns to be called when the request has ended; undefined: there are too many
   */
  add(account: AbortSignal, request: AbortController): (() => void) | undefined {
    let requests = this.#open.get(account);
    if (requests === undefined) {
      const all = new Set<AbortController>();
      const abort = (): void => {
        this.#open.delete(account);
        for (const each of [...all]) each.abort(account.reason);
      };
      account.addEventListener('abort', abort, { once: true });
      this.#open.set(account, all);
      requests = all;
    }
    const open = requests;
    if (open.size >= this.#most) return undefined;
    open.add(request);
    return () => {
      open.delete(request);
    };
  }
}
