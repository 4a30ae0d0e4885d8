/** Who of this instance's agents begins to cache what, and who ends it: what each is told. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { batches } from '../../../core/batches.js';
import { toGatewayError } from '../../../core/errors.js';
import type { Ownership } from '../../../store/assignments/ownership.js';
import type { Lease } from '../lease.js';
import type { OwnershipService } from '../ownership.js';
import type { Registry } from '../registry.js';
import type { SessionFrames } from '../session-frames.js';
import type { Session } from '../session.js';

export interface CachingSwitchesOptions {
  readonly registry: Pick<Registry, 'sessions' | 'sessionsFor' | 'accounts' | 'closed'>;
  readonly ownership: Pick<OwnershipService, 'peek' | 'onChange'>;
  readonly frames: Pick<SessionFrames, 'caching'>;
  /** Whether nobody can take this instance for dead and give its accounts to others; else no agent begins to cache. */
  readonly lease: () => Pick<Lease, 'sure'>;
}

/** Accounts that allow() looks at in one turn of the event loop. */
const accountsPerTurn = 2_000;

export class CachingSwitches {
  readonly #options: CachingSwitchesOptions;
  /** From stop() to allow(). */
  #stopped = false;

  constructor(options: CachingSwitchesOptions) {
    this.#options = options;
  }

  /** Begins to follow every change of ownership. @returns what ends it */
  start(): () => void {
    return this.#options.ownership.onChange((ownership) => {
      this.follow([ownership]);
    });
  }

  /** Others may soon let other agents cache: no agent of this instance may go on, and none begins until allow(). */
  stop(): void {
    this.#stopped = true;
    for (const session of [...this.#options.registry.sessions]) {
      if (session.caching.size === 0) continue;
      const accounts = [...session.caching];
      session.caching.clear();
      this.#tell(session, [], accounts);
    }
  }

  /** Agents may begin again, and those that should are told. */
  async allow(signal: AbortSignal): Promise<void> {
    const { registry, ownership } = this.#options;
    this.#stopped = false;
    for (const accounts of batches([...registry.accounts], accountsPerTurn)) {
      this.follow(accounts.flatMap((account) => ownership.peek(account) ?? []));
      await nextTurn();
      signal.throwIfAborted();
    }
  }

  /** The agent has stopped by itself, because it had heard nothing for too long, and is there all the same: it is told again. */
  resume(session: Session): void {
    const accounts = [...session.caching];
    session.caching.clear();
    const { ownership } = this.#options;
    this.follow(accounts.flatMap((account) => ownership.peek(account) ?? []));
  }

  /** Tells agents what they cache of these accounts, on and off, where they do not know it yet, in one frame each. */
  follow(ownerships: readonly Ownership[]): void {
    const may = !this.#stopped && this.#options.lease().sure;
    const switches = new Map<Session, { start: string[]; stop: string[] }>();
    for (const { account, assignments } of ownerships) {
      for (const session of this.#options.registry.sessionsFor(account)) {
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
      // It does not read; ending the stream makes it dial again and be told anew.
      this.#options.registry.closed(session, toGatewayError(error));
    }
  }
}
