/**
 * Writes this instance's ownership: claims when agents register, and releases when streams end. Writes of the same
 * moment share transactions, so that a wave of agents costs few statements. If a wave is larger than the database can
 * handle in time, its agents are told when to come back.
 */

import { GatewayError, messageOf } from '../../core/errors.js';
import { GroupCommit } from '../../core/group-commit.js';
import { unlessAborted } from '../../core/deadline.js';
import type { Logger } from '../../core/logger.js';
import { retry } from '../../core/retry.js';
import type { AccountRegistration } from '../../store/accounts/account-record.js';
import type { Connection, Ownership } from '../../store/assignments/ownership.js';
import type { Lease } from './lease.js';
import type { OwnershipService } from './ownership.js';

export interface ClaimsOptions {
  readonly ownership: Pick<OwnershipService, 'claimAll' | 'releaseAll'>;
  /**
   * Takes `count` numbers that grow with every registration in the whole cluster.
   * @returns the first of them; the others follow it
   */
  readonly nextEpochs: (count: number, signal: AbortSignal) => Promise<number>;
  readonly lease: Pick<Lease, 'term'>;
  /** How long an agent whose claim failed may go on caching over its older connection, in ms. */
  readonly cachingGraceMs: number;
  /** For one transaction and its retries, in ms. */
  readonly timeoutMs: number;
  readonly logger: Logger;
}

/** A connection that is about to register: its number comes with the claim. */
export type NewConnection = Omit<Connection, 'epoch'>;

export interface Claimed {
  readonly connection: Connection;
  /** As AssignmentStore.claimAll() gives it. */
  readonly ownerships: readonly Ownership[];
}

interface Claim {
  readonly connection: NewConnection & { readonly epoch?: number };
  readonly accounts: readonly AccountRegistration[];
  readonly signal: AbortSignal;
}

interface Release {
  readonly connection: Connection;
  readonly accounts: readonly string[];
  readonly cachingGraceMs: number;
}

/** Claims of one batch at most; their accounts are what a batch is cut by. */
const batchClaims = 1_000;
const batchAccounts = 2_000;
/** Concurrent batches: while the database works on one, the next one is built. */
const concurrency = 2;
/** A registration that would wait longer than this is told to come back later, in ms; agents give up after 20 s. */
const longestWaitMs = 8_000;
/** The estimate may be wrong, so no agent is sent away for longer than this, in ms. */
const latestTurnMs = 60_000;
/** Limits that only a fault can reach: there is at most one entry for each stream, and streams are limited. */
const queueLimit = 1_000_000;

export class Claims {
  readonly #options: ClaimsOptions;
  readonly #claims: GroupCommit<Claim, Claimed | GatewayError>;
  readonly #releases: GroupCommit<Release, 'released'>;
  readonly #unsettled = new Set<Promise<void>>();
  /** The size of all unwritten claims, in full batches. */
  #waitingBatches = 0;
  /** Measured duration of a batch, in ms. Batches that are not full take less time, so this grows with the wave. */
  #batchMs = 100;
  /** When the last agent that was sent away may come back, on the monotonic clock. */
  #lastTurnAt = Number.NEGATIVE_INFINITY;

  constructor(options: ClaimsOptions) {
    this.#options = options;
    this.#claims = new GroupCommit({
      name: 'registrations',
      write: (items) => this.#write(items),
      batchSize: batchClaims,
      batchBytes: batchAccounts,
      bytesOf: ({ accounts }) => accounts.length,
      concurrency,
      queueLimit,
      repeatable: true,
    });
    this.#releases = new GroupCommit({
      name: 'releases of assignments',
      write: (items) => this.#writeReleases(items),
      batchSize: batchClaims,
      batchBytes: batchAccounts,
      bytesOf: ({ accounts }) => accounts.length,
      queueLimit,
      repeatable: true,
    });
  }

  /**
   * Claims the accounts for a new connection. If the lease may have lapsed meanwhile, claims them again: other
   * instances may have released them. A claim whose signal aborts before its turn is not written; if this throws, any
   * claim that may have been written is released again.
   * @throws GatewayError `overloaded` with the time to come back; what claim() throws
   */
  async register(
    connection: NewConnection,
    accounts: readonly AccountRegistration[],
    signal: AbortSignal,
  ): Promise<Claimed> {
    const { lease } = this.#options;
    const waitMs = this.#takes(this.#waitingBatches);
    if (waitMs > longestWaitMs) {
      throw new GatewayError('overloaded', 'too many agents are registering; try again later', {
        retryAfterMs: this.#nextTurnMs(waitMs, this.#takes(batchPart(accounts))),
      });
    }
    let { term } = lease;
    let claimed = await this.#claim({ connection, accounts, signal });
    while (lease.term !== term) {
      ({ term } = lease);
      claimed = await this.#claim({ connection: claimed.connection, accounts, signal });
    }
    return claimed;
  }

  /**
   * Claims accounts for a connection that is registered.
   * @throws GatewayError `permission-denied` for accounts that are bound to another principal; `dependency-unavailable` when
   *   SQL does not answer; the signal's reason
   */
  async claim(
    connection: Connection,
    accounts: readonly AccountRegistration[],
    signal: AbortSignal,
  ): Promise<readonly Ownership[]> {
    const { ownerships } = await this.#claim({ connection, accounts, signal });
    return ownerships;
  }

  /**
   * Soon gives up the connection's ownership of these accounts. If that fails, they are released when this instance's
   * lease ends, or when the agent registers again.
   * @param cachingGraceMs how long the agent may go on caching
   * @returns resolves when the release is done or has failed; never rejects
   */
  release(
    connection: Connection,
    accounts: readonly string[],
    cachingGraceMs = this.#options.cachingGraceMs,
  ): Promise<void> {
    if (accounts.length === 0) return Promise.resolve();
    const write = this.#releases.add({ connection, accounts, cachingGraceMs });
    const failed = (error: unknown): void => {
      this.#options.logger.warn(
        { agentId: connection.agentId, epoch: connection.epoch, error: messageOf(error) },
        'could not release assignments; they end with the lease of this instance',
      );
    };
    const released = write.then(() => undefined, failed);
    this.#unsettled.add(released);
    void released.finally(() => this.#unsettled.delete(released));
    return released;
  }

  /** Resolves once every release that was asked for is written or given up. */
  async settled(): Promise<void> {
    while (this.#unsettled.size > 0) await Promise.all(this.#unsettled);
  }

  /** In ms. */
  #takes(batches: number): number {
    return (batches * this.#batchMs) / concurrency;
  }

  /**
   * Agents that are sent away queue outside: each is given its own time to come back, after the previous one's.
   * @returns from now on, in ms
   */
  #nextTurnMs(waitMs: number, ownMs: number): number {
    const now = performance.now();
    this.#lastTurnAt = Math.min(Math.max(this.#lastTurnAt, now + waitMs) + ownMs, now + latestTurnMs);
    return Math.ceil(this.#lastTurnAt - now);
  }

  async #claim(claim: Claim): Promise<Claimed> {
    const part = batchPart(claim.accounts);
    this.#waitingBatches += part;
    const written = this.#claims.add(claim).finally(() => (this.#waitingBatches -= part));
    const outcome = await unlessAborted(written, claim.signal);
    if (outcome instanceof GatewayError) throw outcome;
    return outcome;
  }

  async #write(claims: readonly Claim[]): Promise<(Claimed | GatewayError)[]> {
    const { ownership, nextEpochs, timeoutMs } = this.#options;
    const beganAt = performance.now();
    const signal = AbortSignal.timeout(timeoutMs);
    const wanted = claims.filter((claim) => !claim.signal.aborted);
    const unnumbered = wanted.filter(({ connection }) => connection.epoch === undefined).length;
    let next = unnumbered === 0 ? 0 : await nextEpochs(unnumbered, signal);
    const requests = new Map(
      wanted.map((claim) => {
        const { epoch = next++ } = claim.connection;
        return [claim, { connection: { ...claim.connection, epoch }, accounts: claim.accounts }];
      }),
    );
    let outcomes: readonly (readonly Ownership[] | GatewayError)[];
    try {
      outcomes = await ownership.claimAll([...requests.values()], signal);
    } catch (error) {
      // The claims may have been written all the same.
      for (const request of requests.values()) this.#abandon(request);
      throw error;
    }
    this.#batchMs += 0.2 * (performance.now() - beganAt - this.#batchMs);
    const byClaim = new Map(wanted.map((claim, index) => [claim, outcomes[index] ?? []]));
    return claims.map((claim) => {
      const request = requests.get(claim);
      const outcome = byClaim.get(claim);
      if (request === undefined || outcome === undefined) return new GatewayError('cancelled', 'no longer wanted');
      if (outcome instanceof GatewayError || claim.signal.aborted) this.#abandon(request);
      return outcome instanceof GatewayError ? outcome : { connection: request.connection, ownerships: outcome };
    });
  }

  #abandon(request: { readonly connection: Connection; readonly accounts: readonly AccountRegistration[] }): void {
    void this.release(
      request.connection,
      request.accounts.map(({ name }) => name),
    );
  }

  async #writeReleases(releases: readonly Release[]): Promise<'released'[]> {
    const { ownership, timeoutMs } = this.#options;
    const signal = AbortSignal.timeout(timeoutMs);
    await retry(() => ownership.releaseAll(releases, signal), { signal, attempts: 5 });
    return releases.map(() => 'released');
  }
}

/** The part of a full batch that a claim makes. */
function batchPart(accounts: readonly AccountRegistration[]): number {
  return Math.max(1 / batchClaims, accounts.length / batchAccounts);
}

/** Whether the connection has an assignment of the account; if an agent has two connections, the newer one is. */
export function holds(ownership: Ownership, connection: Connection): boolean {
  return ownership.assignments.some(
    ({ agentId, epoch, instanceId }) =>
      agentId === connection.agentId && epoch === connection.epoch && instanceId === connection.instanceId,
  );
}
