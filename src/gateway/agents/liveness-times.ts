/**
 * The times that liveness depends on, in ms: how long a silence must last to mean a loss. All follow from the lease, so
 * that one setting makes everything faster or slower.
 *
 * An agent caches on until it has heard nothing of its replica for a time that pings tell it (proto: Ping). Nobody else
 * caches its accounts before:
 * - its stream breaks: the accounts are held for it for what may be left of that time;
 * - its replica cannot renew its lease: at `unsafeMs` the replica tells its agents to stop. An agent that does not hear
 *   that has heard its last message before, so it stops by itself in time. The other replicas notice at the end of the
 *   lease, and hold the accounts for the rest.
 *
 * So agents that share an account, where another one waits to take over, are pinged often; all others, which nobody
 * could replace anyway, only as often as needed to find a lost agent.
 */

/** How often an agent is pinged, and how long a silence is tolerated. */
export interface SilenceTimes {
  /** A ping is sent when nothing was sent to the agent, or nothing heard from it, for this time. */
  readonly quietMs: number;
  /** The agent gives up its replica, and stops caching, when it has heard nothing for this time. */
  readonly silenceMs: number;
  /** An agent that answers pings is considered lost when nothing was heard from it for this time. */
  readonly lostMs: number;
}

export interface LivenessTimes {
  /** For agents whose accounts no other agent serves. */
  readonly alone: SilenceTimes;
  /** For agents that share an account with another agent. */
  readonly sharing: SilenceTimes;
  /** Time without a heartbeat after which a replica tells its agents to stop caching; less than the lease. */
  readonly unsafeMs: number;
  /** How long the agents of a replica may go on caching after its lease has ended. */
  readonly afterLeaseMs: number;
}

/**
 * With the default lease of 5 s: pings after 5.5 s or 0.75 s, loss after 8 s or 5 s, stopped caching after 8 s or 3 s.
 */
export function livenessTimes({ leaseMs }: { readonly leaseMs: number }): LivenessTimes {
  const alone = { quietMs: leaseMs * 1.1, silenceMs: leaseMs * 1.6, lostMs: leaseMs * 1.6 };
  const sharing = { quietMs: leaseMs * 0.15, silenceMs: leaseMs * 0.6, lostMs: leaseMs };
  const unsafeMs = leaseMs * 0.7;
  return { alone, sharing, unsafeMs, afterLeaseMs: unsafeMs + cachesOnMs(alone.silenceMs) - leaseMs };
}

/**
 * How long an agent that was told `silenceMs` may go on caching after the last message that was sent to it, in ms, not
 * counting the message's travel time.
 */
export function cachesOnMs(silenceMs: number): number {
  return (silenceMs * 7) / 6;
}

/** An agent gives up after three periods without a message (proto: Ping). */
const silentPeriods = 3;

/** The period that agents are told (proto: Ping), in ms. */
export function periodOf(silenceMs: number): number {
  return Math.floor(silenceMs / silentPeriods);
}
