/**
 * The sessions of this instance, by agent and by account. A registration lives exactly as long as its stream:
 * register() writes the claims, the stream's end releases them, and both are conditional on the connection's epoch,
 * so the clean-up of an old stream can never remove what a newer one registered.
 */

import { GatewayError, toGatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { Binding } from '../../protocol/wire.js';
import type { AccountRegistration } from '../../store/accounts/account-record.js';
import type { Connection, Ownership } from '../../store/assignments/ownership.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Claims } from './claims.js';
import { bindingTo, type DeliverableOperation, type Delivery } from './delivery.js';
import { periodOf, type LivenessTimes } from './liveness-times.js';
import type { OwnershipService } from './ownership.js';
import type { Presence } from './presence.js';
import { agentKey, authorize } from './principal.js';
import { choose } from './session-choice.js';
import type { SessionFrames } from './session-frames.js';
import type { RegisteredAgent, InFlight, Session } from './session.js';

export interface RegistryOptions {
  readonly instanceId: string;
  readonly ownership: OwnershipService;
  readonly claims: Pick<Claims, 'release' | 'settled'>;
  readonly presence: Pick<Presence, 'connected' | 'left'>;
  readonly frames: SessionFrames;
  /** An agent gives up this replica when it hears nothing for this time, in ms; it is told so when it registers. */
  readonly times: Pick<LivenessTimes, 'alone' | 'sharing'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** An in-flight operation is forgotten this long after its time is over, in ms. */
  readonly lateResultMs: number;
  /** Wall clock, Unix ms. */
  readonly now: () => number;
}

export class Registry {
  readonly #options: RegistryOptions;
  /** By agentKey(): one principal cannot take the place of another one's agent by its id. */
  readonly #agents = new Map<string, Session>();
  readonly #byAccount = new Map<string, Session[]>();
  readonly #sessions = new Set<Session>();
  #unsubscribe: (() => void) | undefined;

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  start(): void {
    this.#unsubscribe = this.#options.ownership.onChange((ownership) => {
      this.#ownershipChanged(ownership);
    });
  }

  /** Ends all open streams and waits until everything is released. */
  async stop(error: GatewayError): Promise<void> {
    for (const session of [...this.#sessions]) this.closed(session, error);
    this.#unsubscribe?.();
    await this.#options.claims.settled();
  }

  get sessions(): ReadonlySet<Session> {
    return this.#sessions;
  }

  /** Streams that serve the account. */
  sessionsFor(account: string): readonly Session[] {
    return this.#byAccount.get(account) ?? [];
  }

  /** Names of the accounts that streams of this instance serve. */
  get accounts(): IterableIterator<string> {
    return this.#byAccount.keys();
  }

  get agentCount(): number {
    return this.#agents.size;
  }

  /** The stream here that an operation of this account would go to; with `binding`, one of that process. */
  choose(account: string, binding: Binding | undefined): Binding | undefined {
    const session = choose(this.#byAccount.get(account), binding);
    return session === undefined ? undefined : bindingTo(session.agent);
  }

  /** The stream here that a request of the Kubernetes API of this account would go to. */
  sessionFor(account: string): Session | undefined {
    return choose(this.#byAccount.get(account), undefined);
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

  /** The stream of an agent that is registered here; `principal` by name. */
  sessionOf(principal: string | undefined, agentId: string): Session | undefined {
    return this.#agents.get(agentKey(principal, agentId));
  }

  /** What the claims and releases of a registered stream are conditional on. */
  connectionOf(session: Session): Connection {
    const { instanceId } = this.#options;
    const { zoneId } = session.agent;
    return { instanceId, zoneId, principal: session.principal?.name, ...bindingTo(session.agent) };
  }

  /** The agent is registered: the stream takes the place of an older one, and becomes active. */
  registered(session: Session, agent: RegisteredAgent): void {
    session.activate(agent);
    this.#agents.set(agentKey(session.principal?.name, agent.agentId), session);
    this.#options.metrics.agents.set(this.#agents.size);
    this.#options.presence.connected(session);
  }

  /** The stream serves these accounts from now on. */
  addAccounts(session: Session, accounts: readonly AccountRegistration[]): void {
    for (const account of accounts) this.#index(account, session);
    this.#options.presence.connected(session);
  }

  /** The stream serves these accounts no more. */
  removeAccounts(session: Session, names: readonly string[]): void {
    for (const name of names) this.#unindex(name, session);
    this.#options.presence.connected(session);
  }

  /** Others may have taken this instance for dead: says of all agents again that they are here. */
  announce(): void {
    for (const session of this.#sessions) if (session.state === 'active') this.#options.presence.connected(session);
  }

  /**
   * Ends an agent's stream, with the operations and the caching on it, and waits until its accounts are released.
   * @param before a stream that was opened later stays (this instance's clock, Unix ms)
   * @returns false when there is no such stream here
   */
  async disconnect(agentId: string, before: number): Promise<boolean> {
    const sinceMs = this.#options.now() - before;
    const sessions = [...this.#agents.values()].filter(
      ({ agent, ageMs }) => agent.agentId === agentId && ageMs >= sinceMs,
    );
    for (const session of sessions)
      this.closed(session, new GatewayError('cancelled', `agent ${agentId} was disconnected on request`, { agentId }));
    await this.#options.claims.settled();
    return sessions.length > 0;
  }

  /** Ends streams whose principals are no longer allowed their zone or accounts: the policy or the tokens changed. */
  reauthorize(): void {
    for (const session of [...this.#sessions]) {
      const { principal } = session;
      if (principal === undefined) continue;
      try {
        principal.reauthorize();
        // A registering stream is checked at the end of its registration.
        if (session.state === 'active') authorize(principal, session.agent.zoneId, [...session.accounts.values()]);
      } catch (error) {
        this.closed(session, toGatewayError(error));
      }
    }
  }

  /**
   * The stream ended, or is to end with `error`: forgets it and releases what it held.
   * @param cachingGraceMs how long the agent may go on caching: one that ended the stream by itself has stopped
   */
  closed(
    session: Session,
    error?: GatewayError,
    cachingGraceMs = error === undefined ? 0 : session.cachingGraceMs,
  ): void {
    if (!session.close(error)) return;
    this.#sessions.delete(session);
    this.#options.metrics.streams.set(this.#sessions.size);
    if (!session.registered) return;
    const { agentId, epoch } = session.agent;
    const key = agentKey(session.principal?.name, agentId);
    if (this.#agents.get(key) === session) this.#agents.delete(key);
    const accounts = [...session.accounts.keys()];
    for (const name of accounts) this.#unindex(name, session);
    this.#options.presence.left(session, accounts, error);
    this.#options.metrics.agents.set(this.#agents.size);
    this.#options.logger.info({ agentId, epoch, reason: error?.code ?? 'ended by the agent' }, 'agent disconnected');
    void this.#options.claims.release(this.connectionOf(session), accounts, cachingGraceMs);
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
      processedTime,
      sentTime: processedTime,
      sentAt,
      expiresAt: sentAt + timeoutMs + this.#options.lateResultMs,
    };
    session.deliver(id, frame, inFlight);
    return { ...bindingTo(session.agent), processedTime, sentTime: processedTime };
  }

  /** Tells the agent after how much silence to give up this replica. */
  tellSilence(session: Session): void {
    const { times, frames } = this.#options;
    const { silenceMs } = session.sharing ? times.sharing : times.alone;
    try {
      session.ping(frames.ping(0, periodOf(silenceMs)), silenceMs);
    } catch (error) {
      // The agent is not reading; ending the stream makes it dial again and be told anew.
      this.closed(session, toGatewayError(error));
    }
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

  #ownershipChanged(ownership: Ownership): void {
    const sessions = this.#byAccount.get(ownership.account);
    if (sessions === undefined) return;
    for (const session of sessions) {
      const { sharing } = session;
      session.share(ownership.account, ownership.assignments.length > 1);
      // Its next ping would come as late as for one that is alone.
      if (session.sharing && !sharing) this.tellSilence(session);
      // A newer stream on this instance is registering: it takes over the operations under way before it ends this one.
      const newer = ownership.assignments.find(
        ({ agentId, epoch, instanceId }) =>
          agentId === session.agent.agentId && epoch > session.agent.epoch && instanceId !== this.#options.instanceId,
      );
      if (newer !== undefined && session.accounts.has(ownership.account)) this.closed(session, replaced(newer.agentId));
    }
  }
}

export function replaced(agentId: string): GatewayError {
  return new GatewayError('replaced', `a newer connection of agent ${agentId} has registered`, { agentId });
}
