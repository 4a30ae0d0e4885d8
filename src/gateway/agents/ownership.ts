/**
 * The owners of accounts, for the rest of the gateway. Reads: a hint from memory if there is one (no network, no wait),
 * SQL if there is none or the hint turned out wrong. Writes: SQL first, then this replica's map, then the mirror that
 * tells the others.
 */

import { unlessAborted } from '../../core/deadline.js';
import { GatewayError, messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { AssignmentStore } from '../../store/assignments/assignments.js';
import type { OwnershipListener, OwnershipMap } from '../../store/mirror/ownership-map.js';
import type { RedisMirror } from '../../store/mirror/redis-mirror.js';
import type { ClaimOutcome, ClaimRequest } from '../../store/assignments/claim.js';
import type { Ownership } from '../../store/assignments/ownership.js';
import type { ReleaseRequest } from '../../store/assignments/release.js';
import { TruthReader, type TruthReaderSettings } from './ownership-reader.js';

export interface OwnershipServiceOptions {
  readonly assignments: Pick<
    AssignmentStore,
    'claimAll' | 'releaseAll' | 'releaseInstance' | 'ofInstance' | 'electCachers' | 'electionTold' | 'find'
  >;
  readonly map: OwnershipMap;
  /** Absent if there is only one replica. */
  readonly mirror?: Pick<RedisMirror, 'publish'> | undefined;
  readonly logger: Logger;
  readonly settings?: Partial<OwnershipSettings>;
}

export interface OwnershipSettings extends TruthReaderSettings {
  /** How long an account that is not in SQL is not looked up again, in ms. */
  readonly unknownForMs: number;
  /** Unknown accounts remembered at most; the oldest is forgotten first. */
  readonly unknownAccounts: number;
}

const defaults: OwnershipSettings = {
  batchAccounts: 500,
  concurrentReads: 4,
  waitingAccounts: 50_000,
  readTimeoutMs: 5_000,
  unknownForMs: 1_000,
  unknownAccounts: 10_000,
};

/** Accounts that are read at a time. */
const pageAccounts = 2_000;

export class OwnershipService {
  readonly #assignments: OwnershipServiceOptions['assignments'];
  readonly #map: OwnershipMap;
  readonly #mirror: Pick<RedisMirror, 'publish'> | undefined;
  readonly #logger: Logger;
  readonly #settings: OwnershipSettings;
  readonly #reader: TruthReader;
  /** Account -> until when (monotonic ms) it counts as unknown; in the order of that time. */
  readonly #unknown = new Map<string, number>();

  constructor(options: OwnershipServiceOptions) {
    this.#assignments = options.assignments;
    this.#map = options.map;
    this.#mirror = options.mirror;
    this.#logger = options.logger;
    this.#settings = { ...defaults, ...options.settings };
    this.#reader = new TruthReader(options.assignments, this.#settings);
  }

  /** The entry in this replica's memory; undefined does not mean that the account is unknown. */
  peek(account: string): Ownership | undefined {
    return this.#map.get(account);
  }

  /**
   * The owners of the account; undefined: no agent ever registered it. An answer that is not a promise comes from
   * memory and may be outdated: a caller that finds it wrong, or without assignments, must call refresh() before it
   * tells anybody.
   * @throws GatewayError (the promise) overloaded, or what the read of SQL failed with; the signal's reason
   */
  resolve(account: string, signal?: AbortSignal): Ownership | undefined | Promise<Ownership | undefined> {
    const known = this.#map.get(account);
    if (known !== undefined) return known;
    const unknownUntil = this.#unknown.get(account);
    if (unknownUntil !== undefined) {
      if (unknownUntil > performance.now()) return undefined;
      this.#unknown.delete(account);
    }
    return unlessAborted(
      this.#reader.join(account, (truth) => this.#learn(account, truth, undefined)),
      signal,
    );
  }

  /**
   * Reads the account from SQL, because the hint was wrong or is missed; repairs the map and Redis.
   * Calls at the same time share one read, which begins after each of them.
   * @throws as resolve() does
   */
  refresh(account: string, signal: AbortSignal): Promise<Ownership | undefined> {
    this.#unknown.delete(account);
    const wrong = this.#map.drop(account);
    const read = this.#reader.fresh(account, (truth) => this.#learn(account, truth, wrong));
    if (wrong !== undefined) {
      // Without SQL, a doubtful hint is better than none.
      read.catch(() => this.#map.set(wrong, wrong));
    }
    return unlessAborted(read, signal);
  }

  /** Assigns accounts to connections. @returns as AssignmentStore.claimAll() */
  async claimAll(requests: readonly ClaimRequest[], signal: AbortSignal): Promise<readonly ClaimOutcome[]> {
    const outcomes = await this.#assignments.claimAll(requests, signal);
    this.spread(outcomes.flatMap((outcome) => (outcome instanceof GatewayError ? [] : outcome)));
    return outcomes;
  }

  /** Releases what exactly these connections own. @returns the accounts that changed */
  async releaseAll(requests: readonly ReleaseRequest[], signal: AbortSignal): Promise<readonly Ownership[]> {
    return this.spread(await this.#assignments.releaseAll(requests, signal));
  }

  /** What the instance owns according to SQL, page by page; also updates this replica's map. */
  async *ofInstance(instanceId: string, signal: AbortSignal): AsyncGenerator<readonly Ownership[]> {
    let after = '';
    for (;;) {
      const page = await this.#assignments.ofInstance(instanceId, after, pageAccounts, signal);
      for (const ownership of page) this.#map.set(ownership);
      yield page;
      const last = page.at(-1);
      if (last === undefined || page.length < pageAccounts) return;
      after = last.account;
    }
  }

  /**
   * Lets other agents cache the accounts of agents that have been gone for long enough, `limit` accounts at most.
   * @returns how many accounts that were
   */
  async electCachers(limit: number, signal: AbortSignal): Promise<number> {
    const elected = await this.#assignments.electCachers(limit, signal);
    this.spread(elected);
    await this.#assignments.electionTold(
      elected.map(({ account }) => account),
      signal,
    );
    return elected.length;
  }

  /** As AssignmentStore.releaseInstance(). */
  async releaseInstance(
    instanceId: string,
    limit: number,
    signal: AbortSignal,
    cachingGraceMs: number,
  ): Promise<readonly Ownership[]> {
    return this.spread(await this.#assignments.releaseInstance(instanceId, limit, signal, cachingGraceMs));
  }

  /**
   * Calls the listener for every change that this replica learns of, its own and those of others; a deleted account
   * comes without assignments. @returns the function that unsubscribes
   */
  onChange(listener: OwnershipListener): () => void {
    return this.#map.onChange((ownership, previous) => {
      try {
        listener(ownership, previous);
      } catch (error) {
        this.#logger.error(
          { account: ownership.account, reason: messageOf(error) },
          'a listener for ownership changes failed',
        );
      }
    });
  }

  /** Tells this replica's map and the others what was written to SQL; gives it back. */
  spread(changed: readonly Ownership[]): readonly Ownership[] {
    for (const ownership of changed) this.#map.set(ownership);
    this.#mirror?.publish(changed);
    return changed;
  }

  /** Takes over the answer of SQL; `wrong` is the hint that refresh() dropped. */
  #learn(account: string, truth: Ownership | undefined, wrong: Ownership | undefined): Ownership | undefined {
    if (truth !== undefined) {
      this.#map.set(truth, wrong);
      if (wrong !== undefined && wrong.version !== truth.version) this.#mirror?.publish([truth]);
    } else if (wrong !== undefined) {
      // Put back for a moment, so that the listeners are told what vanished.
      this.#map.set(wrong, wrong);
      this.#map.remove(account, wrong.version);
      this.#mirror?.publish([{ account, version: wrong.version, removed: true }]);
    }
    // Newer than the truth when a message has come while SQL was read.
    const known = this.#map.get(account) ?? truth;
    if (known === undefined) this.#rememberUnknown(account);
    return known;
  }

  #rememberUnknown(account: string): void {
    const { unknownForMs, unknownAccounts } = this.#settings;
    this.#unknown.delete(account);
    this.#unknown.set(account, performance.now() + unknownForMs);
    const [oldest] = this.#unknown.keys();
    if (this.#unknown.size > unknownAccounts && oldest !== undefined) this.#unknown.delete(oldest);
  }
}
