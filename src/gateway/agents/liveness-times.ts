/**
 * The times that liveness rests on, in ms: how long silence lasts until it means loss. All follow from the lease, so that
 * one setting makes everything faster or slower.
 *
 * An agent may cache an account until it has heard nothing of its replica for `silenceMs`. Nobody else caches before:
 * - its stream breaks: the account is held for it for what is left of `cachesOnMs`;
 * - its replica cannot renew its lease: at `unsafeMs` the replica tells its agents to stop. One that does not hear that has
 *   heard its last message before, so after `unsafeMs + cachesOnMs` it has stopped. Others notice at the end of the
 *   lease, and hold the accounts for the rest of this time.
 */

export interface LivenessTimes {
  /** Nothing heard for so long: the agent, or for the agent its replica, is lost. */
  readonly silenceMs: number;
  /** An agent whose stream broke may go on caching for so long after the last message that was sent to it. */
  readonly cachesOnMs: number;
  /** Without a heartbeat for so long a replica tells its agents to stop caching; less than the lease. */
  readonly unsafeMs: number;
}

/** With the default lease of 5 s: 8 s, 8.4 s and 3.5 s. */
export function livenessTimes({ leaseMs }: { readonly leaseMs: number }): LivenessTimes {
  const silenceMs = leaseMs * 1.6;
  // More than the silence: for the way of the last message.
  return { silenceMs, cachesOnMs: silenceMs * 1.05, unsafeMs: leaseMs * 0.7 };
}

/** An agent gives up after three periods without a message (proto: Ping). */
const silentPeriods = 3;

/** The period that agents are told (proto: Ping), in ms. */
export function periodOf(silenceMs: number): number {
  return Math.floor(silenceMs / silentPeriods);
}
