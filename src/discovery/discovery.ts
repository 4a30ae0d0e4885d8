/**
 * The contract of discovery: the members of the routing cluster. One implementation per method
 * (local, static, redis, kubernetes); the rest of the gateway sees only this file.
 */

/** One member of the routing cluster ("clouddriver" in the REST API). */
export interface Instance {
  /** Its name in assignments and in `/armory/clouddrivers`: the pod name if there is one. */
  readonly id: string;
  /** The base URL of its REST API, without a trailing slash: `http://10.0.0.7:7002`, `https://[fd00::7]:7002`. */
  readonly baseUrl: string;
  /** Whether it accepts new work. An instance that is not ready is still a member, and may still hold agents. */
  readonly ready: boolean;
  /** When it last changed or was confirmed, in Unix ms. */
  readonly lastUpdated: number;
}

/** The ids that one change of the membership added, changed (in baseUrl or ready) or removed, each ordered. */
export interface MembershipChange {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/**
 * Whether the members are up to date. `unknown` means that the source cannot be followed right now: the members are the
 * last known ones, and their absence says nothing.
 */
export interface DiscoveryState {
  readonly status: 'known' | 'unknown';
  /** Since when, in Unix ms. */
  readonly since: number;
  /** While unknown: the reason, safe to show. */
  readonly error?: string;
}

export interface Discovery {
  /**
   * Starts watching. Resolves once the members are known or, if the implementation does not fail fast, once it
   * retries in the background.
   * @param signal ends the start, not the watching, which stop() ends
   * @throws GatewayError `permission-denied`, `configuration`, `dependency-unavailable`; the signal's reason
   */
  start(signal: AbortSignal): Promise<void>;
  /** Withdraws this instance's announcement, and releases every socket and timer. May be called twice. */
  stop(): Promise<void>;
  /** All members, this instance included, ordered by id. The same array until something changes. */
  instances(): readonly Instance[];
  /** One look-up in a map. */
  instance(id: string): Instance | undefined;
  /** Calls `listener` after each change; its errors are logged. @returns the function that unsubscribes */
  onChange(listener: (change: MembershipChange) => void): () => void;
  state(): DiscoveryState;
  /**
   * Sets whether this instance accepts new work. Announced without delay by `local` and `redis`; with `kubernetes` the
   * pod's readiness probe decides, with `static` the others ask `/readyz`, so there it sets only this instance's own
   * entry, or nothing.
   */
  setReady(ready: boolean): void;
}

/** Orders by code units: the same on every instance, regardless of its locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
