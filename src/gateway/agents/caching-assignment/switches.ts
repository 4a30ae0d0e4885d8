/** Who of this instance's agents begins to cache what, and who ends it: what each is told. */

import { toGatewayError, type GatewayError } from '../../../core/errors.js';
import type { Ownership } from '../../../store/assignments/ownership.js';
import type { SessionFrames } from '../session-frames.js';
import type { Session } from '../session.js';

export interface CachingSwitchesOptions {
  /** Streams of this instance that serve the account. */
  readonly sessionsOf: (account: string) => readonly Session[];
  readonly peek: (account: string) => Ownership | undefined;
  readonly frames: Pick<SessionFrames, 'caching'>;
  /** Whether nobody can take this instance for dead and give its accounts to others; else no agent begins to cache. */
  readonly leaseSure: () => boolean;
  /** An agent that does not read what it is told: ending its stream makes it dial again and be told anew. */
  readonly unreadable: (session: Session, error: GatewayError) => void;
}

export class CachingSwitches {
  readonly #options: CachingSwitchesOptions;
  /** From stop() to allow(). */
  #stopped = false;

  constructor(options: CachingSwitchesOptions) {
    this.#options = options;
  }

  /** Others may soon let other agents cache: none of these may go on, and none begins until allow(). */
  stop(sessions: Iterable<Session>): void {
    this.#stopped = true;
    for (const session of sessions) {
      if (session.caching.size === 0) continue;
      const accounts = [...session.caching];
      session.caching.clear();
      this.#tell(session, [], accounts);
    }
  }

  /** Agents may begin again; follow() tells them. */
  allow(): void {
    this.#stopped = false;
  }

  /** The agent has stopped by itself, because it had heard nothing for too long, and is there all the same: it is told again. */
  resume(session: Session): void {
    const accounts = [...session.caching];
    session.caching.clear();
    this.follow(accounts.flatMap((account) => this.#options.peek(account) ?? []));
  }

  /** Tells agents what they cache of these accounts, on and off, where they do not know it yet, in one frame each. */
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
