/**
 * Limits how often one identity may register, and how many streams it may have. Without identities, addresses count.
 */

import { GatewayError } from '../../core/errors.js';
import type { Session } from './session.js';

export interface RegistrationLimitSettings {
  readonly maxRegistrationsPerMinute: number;
  readonly maxAgentsPerIdentity: number;
}

const minuteMs = 60_000;

export class RegistrationLimits {
  readonly #settings: RegistrationLimitSettings;
  readonly #now: () => number;
  /** Registrations of this minute, by identity or address. */
  #counts = new Map<string, number>();
  #minuteEnds = 0;
  readonly #sessions = new Map<string, Set<Session>>();

  /** @param now a clock that only goes forward, in ms */
  constructor(settings: RegistrationLimitSettings, now: () => number) {
    this.#settings = settings;
    this.#now = now;
  }

  /** Counts a registration that begins. @throws GatewayError `overloaded` */
  take(session: Session): void {
    const { maxRegistrationsPerMinute, maxAgentsPerIdentity } = this.#settings;
    const now = this.#now();
    if (now >= this.#minuteEnds) this.#nextMinute(now);
    const owner = session.peer?.owner;
    const who = owner ?? addressOf(session.transport.peer);
    const count = (this.#counts.get(who) ?? 0) + 1;
    this.#counts.set(who, count);
    if (count > maxRegistrationsPerMinute) {
      throw new GatewayError('overloaded', `too many registrations from ${who} (maxRegistrationsPerMinute)`, {
        retryAfterMs: Math.ceil(this.#minuteEnds - now),
      });
    }
    if (owner === undefined) return;
    const sessions = this.#sessions.get(owner) ?? new Set();
    if (sessions.size >= maxAgentsPerIdentity) forgetClosed(sessions);
    if (sessions.size >= maxAgentsPerIdentity)
      throw new GatewayError('overloaded', `too many agents of ${owner} (maxAgentsPerIdentity)`, {
        retryAfterMs: minuteMs,
      });
    sessions.add(session);
    this.#sessions.set(owner, sessions);
  }

  #nextMinute(now: number): void {
    this.#counts = new Map();
    this.#minuteEnds = now + minuteMs;
    for (const [owner, sessions] of this.#sessions) {
      forgetClosed(sessions);
      if (sessions.size === 0) this.#sessions.delete(owner);
    }
  }
}

function forgetClosed(sessions: Set<Session>): void {
  for (const session of sessions) if (session.state === 'closed') sessions.delete(session);
}

/** Without the port, which differs for each connection. */
function addressOf(peer: string): string {
  return peer.slice(0, Math.max(0, peer.lastIndexOf(':'))) || peer;
}
