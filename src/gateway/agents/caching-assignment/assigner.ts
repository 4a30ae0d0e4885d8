/**
 * Assigns a connected agent to cache each account: SQL makes the choice, and the instance that holds the agent tells
 * it.
 */

import { withDeadline } from '../../../core/deadline.js';
import { GatewayError } from '../../../core/errors.js';
import { firstNames } from '../../../core/first-names.js';
import type { Discovery } from '../../../discovery/discovery.js';
import type { AssignmentStore } from '../../../store/assignments/assignments.js';
import type { Ownership } from '../../../store/assignments/ownership.js';
import type { Forwarder } from '../../peers/forwarder.js';
import { assignmentsPath } from '../../peers/calls.js';
import type { OwnershipService } from '../ownership.js';
import type { CachingSwitches } from './switches.js';

export interface CachingAssignerOptions {
  readonly instanceId: string;
  readonly assignments: Pick<AssignmentStore, 'ensureCaching'>;
  readonly ownership: OwnershipService;
  readonly switches: Pick<CachingSwitches, 'follow'>;
  readonly discovery: Pick<Discovery, 'instance'>;
  readonly forwarder: Pick<Forwarder, 'call'>;
  /** How long another instance may take to tell its agents, in ms. */
  readonly timeoutMs: number;
  /** Aborted when the gateway stops. */
  readonly stopping: AbortSignal;
}

/** The agent that caches an account. */
export interface CachedAccount {
  readonly account: string;
  /** Absent while an agent that is gone may still be caching: another one takes over within seconds. */
  readonly by?: { readonly agentId: string; readonly instanceId: string };
}

const deadlineMs = 30_000;

export class CachingAssigner {
  readonly #options: CachingAssignerOptions;

  constructor(options: CachingAssignerOptions) {
    this.#options = options;
  }

  /**
   * @returns the agent that caches each account, in the order of the accounts' names
   * @throws GatewayError `unknown-account` naming the accounts that no connected agent serves, after the others were
   *   assigned; `owner-unreachable` when an agent could not be told; `dependency-unavailable`
   */
  async assign(accounts: readonly string[]): Promise<readonly CachedAccount[]> {
    const { assignments, ownership } = this.#options;
    const ownerships = await this.#withDeadline((signal) => assignments.ensureCaching(accounts, signal));
    ownership.spread(ownerships);
    const cached = ownerships.flatMap(cachedAccount);
    const told = await Promise.allSettled(
      [...byInstance(cached)].map(([instanceId, names]) => this.#tell(instanceId, names, ownerships)),
    );
    const known = new Set(cached.map(({ account }) => account));
    const missing = [...new Set(accounts)].filter((account) => !known.has(account));
    if (missing.length > 0) {
      const message = `no connected agent serves ${firstNames(missing, 10)}`;
      throw new GatewayError('unknown-account', message, { accounts: missing });
    }
    for (const outcome of told) if (outcome.status === 'rejected') throw outcome.reason as Error;
    return cached;
  }

  /** Another instance has assigned the accounts: tells the agents of this one. */
  async follow(accounts: readonly string[]): Promise<readonly CachedAccount[]> {
    const { ownership, switches, instanceId } = this.#options;
    const truth = await this.#withDeadline((signal) =>
      Promise.all(accounts.map((account) => ownership.refresh(account, signal))),
    );
    const known = truth.filter((account) => account !== undefined);
    switches.follow(known);
    return known.flatMap(cachedAccount).filter(({ by }) => by?.instanceId === instanceId);
  }

  async #tell(instanceId: string, accounts: readonly string[], ownerships: readonly Ownership[]): Promise<void> {
    const { switches, discovery, forwarder, timeoutMs } = this.#options;
    if (instanceId === this.#options.instanceId) {
      switches.follow(ownerships.filter(({ account }) => accounts.includes(account)));
      return;
    }
    const unreachable = (why: string) =>
      new GatewayError('owner-unreachable', `instance ${instanceId}, which holds the agents, ${why}; try again`, {
        instanceId,
        accounts,
        retryAfterMs: 1_000,
      });
    const peer = discovery.instance(instanceId);
    if (peer === undefined) throw unreachable('is not among the members');
    const { status } = await forwarder.call(peer, {
      method: 'POST',
      path: assignmentsPath,
      body: accounts,
      timeoutMs,
    });
    if (status !== 200) throw unreachable(`answered ${String(status)}`);
  }

  #withDeadline<T>(task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return withDeadline(deadlineMs, this.#options.stopping, 'assigning the caching', task);
  }
}

function cachedAccount({ account, assignments }: Ownership): readonly CachedAccount[] {
  if (assignments.length === 0) return [];
  const caching = assignments.find((assignment) => assignment.caching);
  if (caching === undefined) return [{ account }];
  return [{ account, by: { agentId: caching.agentId, instanceId: caching.instanceId } }];
}

function byInstance(cached: readonly CachedAccount[]): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, string[]>();
  for (const { account, by } of cached) {
    if (by === undefined) continue;
    const group = groups.get(by.instanceId);
    if (group === undefined) groups.set(by.instanceId, [account]);
    else group.push(account);
  }
  return groups;
}
