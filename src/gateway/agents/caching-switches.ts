/** Tells the agents of this instance which accounts to start and stop caching. */

import { toGatewayError, type GatewayError } from '../../core/errors.js';
import type { Ownership } from '../../store/ownership.js';
import type { SessionFrames } from './session-frames.js';
import type { Session } from './session.js';

export interface CachingSwitchesOptions {
  /** Streams of this instance that serve the account. */
  readonly sessionsOf: (account: string) => readonly Session[];
  readonly peek: (account: string) => Ownership | undefined;
  readonly frames: Pick<SessionFrames, 'caching'>;
  /**
   * Whether no other instance can consider this one dead and give away its accounts; otherwise no agent starts caching.
   */
  readonly leaseSure: () => boolean;
  /** Ends the stream of an agent that is not reading: the agent dials again and is told anew. */
  readonly unreadable: (session: Session, error: GatewayError) => void;
}

export class CachingSwitches {
  readonly #options: CachingSwitchesOptions;
  /** From stop() to allow(). */
  #stopped = false;

  constructor(options: CachingSwitchesOptions) {
    this.#options = options;
  }

  /** Other instances may soon let other agents cache: agents of this one must stop, and none starts until allow(). */
  stop(sessions: Iterable<Session>): void {
    this.#stopped = true;
    for (const session of sessions) {
      if (session.caching.size === 0) continue;
      const accounts = [...session.caching];
      session.caching.clear();
      this.#tell(session, [], accounts);
    }
  }

  /** Agents may start again; follow() tells them. */
  allow(): void {
    this.#stopped = false;
  }

  /** The agent stopped by itself, because it had heard nothing for too long, but is still connected: tells it again. */
  resume(session: Session): void {
    const accounts = [...session.caching];
    session.caching.clear();
    this.follow(accounts.flatMap((account) => this.#options.peek(account) ?? []));
  }

  /** Tells each agent, in one frame, which of these accounts to start and stop caching, if it does not know yet. */
  follow(ownerships: readonly Ownership[]): void {
    const may = !this.#stopped && this.#options.leaseSure();
    const switches = new Map<Session, { start: string[]; stop: string[] }>();
    for (const { account, assignments } of ownerships) {
      for (const session of this.#options.sessionsOf(account)) {
        const { epoch } = session.identity;
        const should = assignments.some((assignment) => assignment.epoch === epoch && assignment.caching);
        if (should === session.caching.has(account) || (should && !may)) continue;
        if (should) session.caching.add(account);
        else session.caching.delete(account);
        const change = switches.get(session) ?? { start: [], stop: [] };
        (should ? change.start : change.stop).push(account);
        switches.set(session, change);
      }
    }
    for (const [session, { start, stop }] of switches) this.#tell(session, start, stop);
  }

  #tell(session: Session, start: readonly string[], stop: readonly string[]): void {
    try {
      session.send(this.#options.frames.caching(start, stop));
    } catch (error) {
      this.#options.unreadable(session, toGatewayError(error));
    }
  }
}
