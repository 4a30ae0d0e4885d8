/**
 * The contract of discovery: who the members of the routing cluster are. One implementation per way of finding out
 * (local, static, redis, kubernetes); the rest of the gateway sees only this file.
 */

/** One member of the routing cluster ("clouddriver" in the REST API). */
export interface Instance {
  /** Its name in assignments and in `/armory/clouddrivers`: the pod name where there is one. */
  readonly id: string;
  /** Where its REST API is, without a trailing slash: `http://10.0.0.7:7002`, `https://[fd00::7]:7002`. */
  readonly baseUrl: string;
  /** Whether it takes new work. One that is not ready is still a member, and may still own agents. */
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
 * How far the members can be trusted. `unknown` means that the source cannot be followed right now: the members are the
 * last known ones, and their absence says nothing.
 */
export interface DiscoveryState {
  readonly status: 'known' | 'unknown';
  /** Since when it is so, in Unix ms. */
  readonly since: number;
  /** While unknown: why, safe to show. */
  readonly error?: string;
}

export interface Discovery {
  /**
   * Starts watching. Resolves once the members are known or, where the implementation does not fail fast, once it
   * retries by itself in the background.
   * @param signal ends the start, not the watching: that is for stop()
   * @throws GatewayError `permission-denied`, `configuration`, `dependency-unavailable`; the signal's reason
   */
  start(signal: AbortSignal): Promise<void>;
  /** Takes this instance out of what it announced, and releases every socket and timer. May be called twice. */
  stop(): Promise<void>;
  /** All members, this instance included, ordered by id. The same array until something changes. */
  instances(): readonly Instance[];
  /** One look-up in a map. */
  instance(id: string): Instance | undefined;
  /** Calls `listener` after each change; what it throws is logged. Returns its unsubscribe. */
  onChange(listener: (change: MembershipChange) => void): () => void;
  state(): DiscoveryState;
  /**
   * Says whether this instance takes new work. Announced without delay by `local` and `redis`; with `kubernetes` the
   * pod's readiness probe decides, with `static` the others ask `/readyz`, so that there it sets this instance's entry
   * or nothing at all.
   */
  setReady(ready: boolean): void;
}

/** Orders by code units, alike on every instance, whatever its locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
