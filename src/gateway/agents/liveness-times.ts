/**
 * The times that liveness rests on, in ms: how long silence lasts until it means loss. All follow from the lease, so that
 * one setting makes everything faster or slower.
 *
 * An agent caches on until it has heard nothing of its replica for a time that pings tell it (proto: Ping). Nobody else
 * caches its accounts before:
 * - its stream breaks: the accounts are held for it for what may be left of that time;
 * - its replica cannot renew its lease: at `unsafeMs` the replica tells its agents to stop. An agent that does not hear that
 *   has heard its last message before, so it stops by itself in time. The other replicas notice at the end of the
 *   lease, and hold the accounts for the rest.
 *
 * So agents that share an account, where another one waits to take over, hear of their replica often; all others, whom nobody
 * can follow anyway, as rarely as the loss of an agent has to be found.
 */

/** How often an agent is pinged, and what silence means. */
export interface SilenceTimes {
  /** A ping goes out when nothing was sent, or nothing heard, for so long. */
  readonly quietMs: number;
  /** The agent gives its replica up, and caches no more, when it has heard nothing for so long. */
  readonly silenceMs: number;
  /** The agent is lost when nothing was heard of it for so long, though it answers pings. */
  readonly lostMs: number;
}

export interface LivenessTimes {
  /** Of agents whose accounts nobody else serves. */
  readonly alone: SilenceTimes;
  /** Of agents that share an account with another agent. */
  readonly sharing: SilenceTimes;
  /** Without a heartbeat for so long a replica tells its agents to stop caching; less than the lease. */
  readonly unsafeMs: number;
  /** For so long after the end of a replica's lease its agents may go on caching. */
  readonly afterLeaseMs: number;
}

/** With the default lease of 5 s: pings after 5.5 s or 0.75 s, loss after 8 s or 5 s, stopped caching after 8 s or 3 s. */
export function livenessTimes({ leaseMs }: { readonly leaseMs: number }): LivenessTimes {
  const alone = { quietMs: leaseMs * 1.1, silenceMs: leaseMs * 1.6, lostMs: leaseMs * 1.6 };
  const sharing = { quietMs: leaseMs * 0.15, silenceMs: leaseMs * 0.6, lostMs: leaseMs };
  const unsafeMs = leaseMs * 0.7;
  return { alone, sharing, unsafeMs, afterLeaseMs: unsafeMs + cachesOnMs(alone.silenceMs) - leaseMs };
}

/**
 * How long an agent that was told `silenceMs` may go on caching after the last message that was sent to it, in ms: the way
 * of the message comes on top.
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
