/**
 * The sessions of this instance, by agent and by account. A registration lives exactly as long as its stream:
 * register() writes the claims, the stream's end releases them, and both are conditional on the connection's epoch,
 * so the clean-up of an old stream can never remove what a newer one registered.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { unlessAborted } from '../../core/deadline.js';
import { GatewayError, toGatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { AccountRegistration, Connection, Ownership } from '../../store/assignments/ownership.js';
import { batches } from '../../core/batches.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Claims } from './claims.js';
import type { Lease } from './lease.js';
import { periodOf, type LivenessTimes } from './liveness-times.js';
import type { OwnershipService } from './ownership.js';
import {
  agentKey,
  authorize,
  claimZone,
  dismiss,
  holds,
  replaced,
  validateAccounts,
  validateRegistration,
  type BindZone,
  type RegistrationRequest,
} from './registration.js';
import type { Binding } from '../../protocol/wire.js';
import { bindingTo, type DeliverableOperation, type Delivery } from './delivery.js';
import { CachingSwitches } from './caching-assignment/switches.js';
import { reclaimMissing } from './reclaim.js';
import type { SessionFrames } from './session-frames.js';
import { choose } from './session-choice.js';
import type { InFlight, Session } from './session.js';

export interface RegistryOptions {
  readonly instanceId: string;
  readonly ownership: OwnershipService;
  readonly claims: Claims;
  /** Gives a zone that is nobody's to the owner; false: it is somebody else's. */
  readonly bindZone: BindZone;
  readonly frames: SessionFrames;
  /** An agent that hears nothing for so long gives this replica up, in ms: told to it with its registration. */
  readonly times: Pick<LivenessTimes, 'alone' | 'sharing'>;
  readonly lease: () => Pick<Lease, 'sure'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly maxAccountsPerAgent: number;
  /** An in-flight operation is forgotten this long after its time is over, in ms. */
  readonly lateResultMs: number;
  /** Wall clock, Unix ms. */
  readonly now: () => number;
}

/** Accounts that reclaim() looks at in one turn of the event loop. */
const accountsPerTurn = 2_000;

export class Registry {
  readonly #options: RegistryOptions;
  /** By agentKey(): one identity cannot take the place of another one's agent by its id. */
  readonly #agents = new Map<string, Session>();
  readonly #byAccount = new Map<string, Session[]>();
  readonly #sessions = new Set<Session>();
  #refusing: GatewayError | undefined;
  readonly #caching: CachingSwitches;
  #unsubscribe: (() => void) | undefined;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#caching = new CachingSwitches({
      sessionsOf: (account) => this.#byAccount.get(account) ?? [],
      peek: (account) => options.ownership.peek(account),
      frames: options.frames,
      leaseSure: () => options.lease().sure,
      unreadable: (session, error) => {
        this.closed(session, error);
      },
    });
  }

  start(): void {
    this.#unsubscribe = this.#options.ownership.onChange((ownership) => {
      this.#ownershipChanged(ownership);
    });
  }

  /** From now on registrations are refused with `error` (drain). */
  refuse(error: GatewayError): void {
    this.#refusing = error;
  }

  /** Ends what is still open and waits until all is released. */
  async stop(error: GatewayError): Promise<void> {
    for (const session of [...this.#sessions]) this.closed(session, error);
    this.#unsubscribe?.();
    await this.#options.claims.settled();
  }

  get sessions(): ReadonlySet<Session> {
    return this.#sessions;
  }

  get agentCount(): number {
    return this.#agents.size;
  }

  /** The stream here that an operation of this account would go to; with `binding`, one of that process. */
  choose(account: string, binding: Binding | undefined): Binding | undefined {
    const session = choose(this.#byAccount.get(account), binding);
    return session === undefined ? undefined : bindingTo(session.identity);
  }

  /** Accounts that a stream of this instance serves. */
  get accountCount(): number {
    return this.#byAccount.size;
  }

  /** A stream was opened. */
  opened(session: Session): void {
    this.#sessions.add(session);
    this.#options.metrics.streams.set(this.#sessions.size);
  }

  /**
   * Claims the accounts for this stream. On return the session is active and the agent knows it.
   * @throws GatewayError `invalid-argument` naming the field; `permission-denied` for a zone or accounts that its
   *   identity may not have, or that are another one's; `draining`; `overloaded`; `replaced` when a newer connection of
   *   the agent registered meanwhile; `dependency-unavailable` when SQL does not answer
   */
  async register(session: Session, request: RegistrationRequest, signal: AbortSignal): Promise<void> {
    if (this.#refusing !== undefined) throw this.#refusing;
    validateRegistration(request, this.#options.maxAccountsPerAgent);
    const { peer } = session;
    if (peer !== undefined) authorize(peer, request.zoneId, request.accounts);
    session.registering();
    const { instanceId, frames, logger } = this.#options;
    if (peer !== undefined) await claimZone(peer, request, this.#options.bindZone, signal);
    const { agentId, zoneId } = request;
    const ofProcess = request.processId === undefined ? {} : { processId: request.processId };
    const newConnection = { instanceId, agentId, zoneId, ...ofProcess, owner: peer?.owner };
    const { connection, ownerships: claimed } = await this.#options.claims.register(
      newConnection,
      request.accounts,
      signal,
    );
    try {
      // The policy may have changed meanwhile.
      if (peer !== undefined) authorize(peer, zoneId, request.accounts);
    } catch (error) {
      this.#release(connection, request.accounts);
      throw error;
    }
    const { epoch } = connection;
    const key = agentKey(peer?.owner, agentId);
    const older = this.#agents.get(key);
    // Accounts tell who is newer; an agent that has none yet is known by its number alone.
    const lost = claimed.some((account) => !holds(account, connection)) || (older?.identity.epoch ?? 0) > epoch;
    if (session.state === 'closed' || lost) {
      this.#release(connection, request.accounts);
      // The claims of the older stream went to this one: it has nothing left, and its agent is to dial again.
      if (!lost && older !== undefined) this.closed(older, replaced(request.agentId));
      if (!lost) return;
      throw replaced(request.agentId);
    }
    const { version, dynamicAccounts } = request;
    session.activate({ agentId, zoneId, version, epoch, ...ofProcess, dynamicAccounts });
    this.#agents.set(key, session);
    const held = new Set(claimed.map(({ account }) => account));
    for (const account of request.accounts) if (held.has(account.name)) this.#index(account, session);
    session.send(frames.registered(epoch));
    this.#tellSilence(session);
    if (older !== undefined) {
      // Another process has nothing of it under way.
      if (older.identity.processId === session.identity.processId) session.adopt(older);
      this.closed(older, replaced(request.agentId));
    }
    this.#caching.follow(claimed);
    dismiss(session, request.accounts, held, frames);
    this.#options.metrics.agents.set(this.#agents.size);
    logger.info(
      {
        agentId,
        zoneId,
        epoch,
        ...ofProcess,
        ...(peer === undefined ? {} : { owner: peer.owner }),
        accounts: request.accounts.length,
        peer: session.transport.peer,
        tookMs: Math.round(session.ageMs),
      },
      'agent registered',
    );
  }

  /** Adds accounts to an active stream. @throws as register() */
  async addAccounts(session: Session, accounts: readonly AccountRegistration[], signal: AbortSignal): Promise<void> {
    const others = new Set(session.accounts.keys());
    for (const { name } of accounts) others.delete(name);
    validateAccounts('accounts_added.accounts', accounts, others.size, this.#options.maxAccountsPerAgent);
    if (session.peer !== undefined) authorize(session.peer, session.identity.zoneId, accounts);
    const connection = this.#connection(session);
    const claimed = await this.#options.claims.claim(connection, accounts, signal);
    if (session.state === 'closed') {
      this.#release(connection, accounts);
      return;
    }
    const held = new Set(claimed.filter((ownership) => holds(ownership, connection)).map(({ account }) => account));
    for (const account of accounts) if (held.has(account.name)) this.#index(account, session);
    this.#caching.follow(claimed);
    dismiss(session, accounts, held, this.#options.frames);
  }

  /** The agent has stopped with these accounts. */
  async removeAccounts(session: Session, names: readonly string[], signal: AbortSignal): Promise<void> {
    const own = names.filter((name) => session.accounts.has(name));
    for (const name of own) this.#unindex(name, session);
    await unlessAborted(this.#options.claims.release(this.#connection(session), own, 0), signal);
  }

  /**
   * Claims again what others have released of the streams' accounts while this instance was out of reach. What SQL still
   * has is only read, so that it costs little to repeat this from the beginning.
   */
  async reclaim(signal: AbortSignal): Promise<void> {
    const { instanceId, ownership, claims } = this.#options;
    const active = [...this.#sessions].filter((session) => session.state === 'active');
    const connectionOf = (session: Session): Connection => this.#connection(session);
    const lost = await reclaimMissing({ instanceId, ownership, claims, connectionOf }, active, signal);
    for (const session of lost) this.closed(session, replaced(session.identity.agentId));
    this.#caching.allow();
    // What was heard meanwhile of accounts that were claimed before, too.
    for (const accounts of batches([...this.#byAccount.keys()], accountsPerTurn)) {
      this.#caching.follow(accounts.flatMap((account) => ownership.peek(account) ?? []));
      await nextTurn();
      signal.throwIfAborted();
    }
  }

  /** Others may soon let other agents cache these accounts: no agent of this instance may go on. reclaim() ends it. */
  stopCaching(): void {
    this.#caching.stop([...this.#sessions]);
  }

  /** As CachingSwitches.resume(). */
  resumeCaching(session: Session): void {
    this.#caching.resume(session);
  }

  /** Tells agents of this instance what they cache of these accounts, where they do not know it yet. */
  followCaching(ownerships: readonly Ownership[]): void {
    this.#caching.follow(ownerships);
  }

  /**
   * Ends an agent's stream, with the operations and the caching on it, and waits until its accounts are released.
   * @param before a stream that was opened later stays (this instance's clock, Unix ms)
   * @returns false when there is no such stream here
   */
  async disconnect(agentId: string, before: number): Promise<boolean> {
    const sinceMs = this.#options.now() - before;
    const sessions = [...this.#agents.values()].filter(
      ({ identity, ageMs }) => identity.agentId === agentId && ageMs >= sinceMs,
    );
    for (const session of sessions)
      this.closed(session, new GatewayError('cancelled', `agent ${agentId} was disconnected on request`, { agentId }));
    await this.#options.claims.settled();
    return sessions.length > 0;
  }

  /** Ends streams whose identities may no longer have what they have: the policy or the tokens changed. */
  judgeAgain(): void {
    for (const session of [...this.#sessions]) {
      const { peer } = session;
      if (peer === undefined) continue;
      try {
        peer.judgeAgain();
        // One that is registering is judged at its end.
        if (session.state === 'active') authorize(peer, session.identity.zoneId, [...session.accounts.values()]);
      } catch (error) {
        this.closed(session, toGatewayError(error));
      }
    }
  }

  /**
   * The stream ended, or is to end with `error`: forgets it and releases what it held.
   * @param cachesForMs how long the agent may go on caching: one that ended the stream by itself has stopped
   */
  closed(session: Session, error?: GatewayError, cachesForMs = error === undefined ? 0 : session.cachesOnMs): void {
    if (!session.close(error)) return;
    this.#sessions.delete(session);
    this.#options.metrics.streams.set(this.#sessions.size);
    if (!session.registered) return;
    const { agentId, epoch } = session.identity;
    const key = agentKey(session.peer?.owner, agentId);
    if (this.#agents.get(key) === session) this.#agents.delete(key);
    const accounts = [...session.accounts.keys()];
    for (const name of accounts) this.#unindex(name, session);
    this.#options.metrics.agents.set(this.#agents.size);
    this.#options.logger.info({ agentId, epoch, reason: error?.code ?? 'ended by the agent' }, 'agent disconnected');
    void this.#options.claims.release(this.#connection(session), accounts, cachesForMs);
  }

  /**
   * Gives an operation to one of this instance's streams: to the one with the fewest operations under way.
   * @throws GatewayError `not-owner` when no stream here serves the account; `overloaded`
   */
  deliver(operation: DeliverableOperation, frame: Uint8Array): Delivery {
    const { id, account, originatingInstanceId, timeoutMs, traceparent, binding } = operation;
    const { processedTime = this.#options.now() } = operation;
    const session = choose(this.#byAccount.get(account), binding);
    if (session === undefined) {
      const { instanceId } = this.#options;
      const whose =
        binding === undefined ? '' : ` of the process of agent ${binding.agentId} that the operation is for`;
      const message = `instance ${instanceId} holds no stream${whose} for account "${account}"`;
      throw new GatewayError('not-owner', message, { account, operationId: id, instanceId });
    }
    const sentAt = performance.now();
    const inFlight: InFlight = {
      account,
      originatingInstanceId,
      traceparent,
      ...{ processedTime, sentTime: processedTime, sentAt },
      expiresAt: sentAt + timeoutMs + this.#options.lateResultMs,
    };
    session.deliver(id, frame, inFlight);
    return { ...bindingTo(session.identity), processedTime, sentTime: processedTime };
  }

  #index(account: AccountRegistration, session: Session): void {
    const known = session.accounts.has(account.name);
    session.accounts.set(account.name, account);
    const assignments = this.#options.ownership.peek(account.name)?.assignments ?? [];
    session.share(account.name, assignments.length > 1);
    if (known) return;
    const sessions = this.#byAccount.get(account.name);
    if (sessions === undefined) this.#byAccount.set(account.name, [session]);
    else sessions.push(session);
  }

  #unindex(account: string, session: Session): void {
    session.accounts.delete(account);
    session.caching.delete(account);
    session.share(account, false);
    const left = this.#byAccount.get(account)?.filter((other) => other !== session) ?? [];
    if (left.length === 0) this.#byAccount.delete(account);
    else this.#byAccount.set(account, left);
  }

  #connection(session: Session): Connection {
    const { zoneId } = session.identity;
    return {
      ...{ instanceId: this.#options.instanceId, zoneId, owner: session.peer?.owner },
      ...bindingTo(session.identity),
    };
  }

  #release(connection: Connection, accounts: readonly AccountRegistration[]): void {
    void this.#options.claims.release(
      connection,
      accounts.map(({ name }) => name),
    );
  }

  /** Tells the agent after how much silence to give this replica up. */
  #tellSilence(session: Session): void {
    const { times, frames } = this.#options;
    const { silenceMs } = session.sharing ? times.sharing : times.alone;
    try {
      session.ping(frames.ping(0, periodOf(silenceMs)), silenceMs);
    } catch (error) {
      // It does not read; ending the stream makes it dial again and be told anew.
      this.closed(session, toGatewayError(error));
    }
  }

  #ownershipChanged(ownership: Ownership): void {
    const sessions = this.#byAccount.get(ownership.account);
    if (sessions === undefined) return;
    for (const session of sessions) {
      const { sharing } = session;
      session.share(ownership.account, ownership.assignments.length > 1);
      // Its next ping would come as late as for one that is alone.
      if (session.sharing && !sharing) this.#tellSilence(session);
      // A newer one on this instance is being registered: that takes over what is under way before it ends this one.
      const newer = ownership.assignments.find(
        ({ agentId, epoch, instanceId }) =>
          agentId === session.identity.agentId &&
          epoch > session.identity.epoch &&
          instanceId !== this.#options.instanceId,
      );
      if (newer !== undefined && session.accounts.has(ownership.account)) this.closed(session, replaced(newer.agentId));
    }
    this.#caching.follow([ownership]);
  }
}
