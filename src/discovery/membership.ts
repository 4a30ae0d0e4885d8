/** The table of members that every implementation of discovery keeps: look-up, ordered list, changes, state. */

import { messageOf } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { compareText, type DiscoveryState, type Instance, type MembershipChange } from './discovery.js';

/** A member as its source reports it. Without `lastUpdated`, the time when it was first seen in this state is used. */
export type Member = Omit<Instance, 'lastUpdated'> & {
  readonly lastUpdated?: number;
};

/** Time for connecting, and for other instances to start, in ms: until then unknown members are not a fault. */
const startTimeMs = 10_000;

export abstract class Membership {
  protected readonly logger: Logger;
  readonly #listeners = new Set<(change: MembershipChange) => void>();
  #byId: ReadonlyMap<string, Instance> = new Map();
  #ordered: readonly Instance[] = [];
  #state: DiscoveryState = {
    status: 'unknown',
    since: Date.now(),
    error: 'not started',
  };
  /** When unknown members become a fault, by performance.now(). */
  #expectedAt: number;
  #warned = false;

  /** @param startMs how long it may take until the members are known, in ms */
  constructor(logger: Logger, startMs = startTimeMs) {
    this.logger = logger;
    this.#expectedAt = performance.now() + startMs;
  }

  instances(): readonly Instance[] {
    return this.#ordered;
  }

  instance(id: string): Instance | undefined {
    return this.#byId.get(id);
  }

  state(): DiscoveryState {
    return this.#state;
  }

  onChange(listener: (change: MembershipChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Sets all members at once, and tells listeners what differs. If several have one id, the last one wins. */
  protected replace(members: Iterable<Member>): void {
    const now = Date.now();
    const next = new Map<string, Instance>();
    const change = {
      added: [] as string[],
      changed: [] as string[],
      removed: [] as string[],
    };
    for (const { id, baseUrl, ready, lastUpdated } of members) {
      const old = this.#byId.get(id);
      const same = old !== undefined && old.baseUrl === baseUrl && old.ready === ready;
      next.set(id, {
        id,
        baseUrl,
        ready,
        lastUpdated: lastUpdated ?? (same ? old.lastUpdated : now),
      });
    }
    for (const { id, baseUrl, ready } of next.values()) {
      const old = this.#byId.get(id);
      if (old === undefined) change.added.push(id);
      else if (old.baseUrl !== baseUrl || old.ready !== ready) change.changed.push(id);
    }
    for (const id of this.#byId.keys()) if (!next.has(id)) change.removed.push(id);
    for (const ids of Object.values(change)) ids.sort(compareText);

    this.#byId = next;
    this.#ordered = [...next.values()].sort((a, b) => compareText(a.id, b.id));
    if (change.added.length + change.changed.length + change.removed.length > 0) this.#notify(change);
  }

  /** The source is followed again. */
  protected setKnown(): void {
    if (this.#state.status === 'known') return;
    this.#state = { status: 'known', since: Date.now() };
    this.#expectedAt = 0;
    this.#warned = false;
    this.logger.info({ members: this.#byId.size }, 'cluster members known');
  }

  /** The source cannot be followed: the members stay. */
  protected setUnknown(reason: unknown): void {
    const message = messageOf(reason);
    const [error = ''] = message.split('\n', 1);
    const { status, since, error: before } = this.#state;
    this.#state = { status: 'unknown', since: status === 'unknown' ? since : Date.now(), error };
    const fault = performance.now() >= this.#expectedAt;
    if (error === before && (this.#warned || !fault)) return;
    const fields = { error: message, members: this.#byId.size };
    if (!fault) {
      this.logger.info(fields, 'cluster members not known yet; waiting');
      return;
    }
    this.#warned = true;
    this.logger.warn(fields, 'cannot follow the cluster members; keeping the last known ones');
  }

  /** Nothing is followed any longer, and nobody listens. */
  protected setStopped(): void {
    this.#listeners.clear();
    this.#state = { status: 'unknown', since: Date.now(), error: 'stopped' };
  }

  #notify(change: MembershipChange): void {
    this.logger.info({ ...change }, 'cluster members changed');
    for (const listener of [...this.#listeners]) {
      try {
        listener(change);
      } catch (error) {
        this.logger.error({ error: messageOf(error) }, 'a listener for membership changes failed');
      }
    }
  }
}
