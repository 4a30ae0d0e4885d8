/** Tells the agents of this instance which accounts to start and stop caching. */

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
  /**
   * Whether no other instance can consider this one dead and give away its accounts; otherwise no agent starts caching.
   */
  readonly lease: Pick<Lease, 'sure'>;
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

  /** Starts to follow every change of ownership. @returns a function that stops it */
  start(): () => void {
    const { ownership, registry } = this.#options;
    return ownership.onChange((changed) => {
      // Most changes in a large cluster are of accounts that other replicas serve.
      if (registry.sessionsFor(changed.account).length > 0) this.follow([changed]);
    });
  }

  /** Other instances may soon let other agents cache: agents of this one must stop, and none starts until allow(). */
  stop(): void {
    this.#stopped = true;
    for (const session of [...this.#options.registry.sessions]) {
      if (session.caching.size === 0) continue;
      const accounts = [...session.caching];
      session.caching.clear();
      this.#tell(session, [], accounts);
    }
  }

  /** Agents may start again; those that should are told. */
  async allow(signal: AbortSignal): Promise<void> {
    this.#stopped = false;
    for (const accounts of batches([...this.#options.registry.accounts], accountsPerTurn)) {
      this.#followKnown(accounts);
      await nextTurn();
      signal.throwIfAborted();
    }
  }

  /** The agent stopped by itself, because it had heard nothing for too long, but is still connected: tells it again. */
  resume(session: Session): void {
    const accounts = [...session.caching];
    session.caching.clear();
    this.#followKnown(accounts);
  }

  /** Tells each agent, in one frame, which of these accounts to start and stop caching, if it does not know yet. */
  follow(ownerships: readonly Ownership[]): void {
    const may = !this.#stopped && this.#options.lease.sure;
    const switches = new Map<Session, { start: string[]; stop: string[] }>();
    for (const { account, assignments } of ownerships) {
      for (const session of this.#options.registry.sessionsFor(account)) {
        const { epoch } = session.agent;
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

  #followKnown(accounts: readonly string[]): void {
    const { ownership } = this.#options;
    this.follow(accounts.flatMap((account) => ownership.peek(account) ?? []));
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
