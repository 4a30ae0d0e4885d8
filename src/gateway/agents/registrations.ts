/**
 * The way of a registration: the request is checked, its accounts are claimed in SQL, the registry takes the stream, and
 * the agent is told. A registration lives exactly as long as its stream: what is claimed here is released when that ends.
 */

import { unlessAborted } from '../../core/deadline.js';
import type { GatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import type { AccountRegistration } from '../../store/accounts/account-record.js';
import type { Connection, Ownership } from '../../store/assignments/ownership.js';
import type { CachingSwitches } from './caching-assignment/switches.js';
import { holds, type Claimed, type Claims } from './claims.js';
import { bindingTo } from './delivery.js';
import { authorize, claimZone, type BindZone } from './principal.js';
import { reclaimMissing } from './reclaim.js';
import { validateAccounts, validateRegistration, type RegistrationRequest } from './registration-request.js';
import { replaced, type Registry } from './registry.js';
import type { OwnershipService } from './ownership.js';
import type { SessionFrames } from './session-frames.js';
import type { Session } from './session.js';

export interface RegistrationsOptions {
  readonly instanceId: string;
  readonly registry: Registry;
  readonly claims: Claims;
  readonly ownership: Pick<OwnershipService, 'ofInstance'>;
  readonly caching: CachingSwitches;
  /** Binds a zone that has no principal to this one; false: the zone is bound to another one. */
  readonly bindZone: BindZone;
  readonly frames: SessionFrames;
  readonly logger: Logger;
  readonly maxAccountsPerAgent: number;
}

export class Registrations {
  readonly #options: RegistrationsOptions;
  #refusing: GatewayError | undefined;

  constructor(options: RegistrationsOptions) {
    this.#options = options;
  }

  /** Refuses registrations with `error` from now on (drain). */
  refuse(error: GatewayError): void {
    this.#refusing = error;
  }

  /**
   * Claims the accounts for this stream. On return the session is active and the agent knows it.
   * @throws GatewayError `invalid-argument` naming the field; `permission-denied` for a zone or accounts that its
   *   principal may not have, or that are another one's; `draining`; `overloaded`; `replaced` when a newer connection of
   *   the agent registered meanwhile; `dependency-unavailable` when SQL does not answer
   */
  async register(session: Session, request: RegistrationRequest, signal: AbortSignal): Promise<void> {
    if (this.#refusing !== undefined) throw this.#refusing;
    const { instanceId, claims, bindZone, maxAccountsPerAgent } = this.#options;
    const { principal } = session;
    const { agentId, zoneId, processId, accounts } = request;
    validateRegistration(request, maxAccountsPerAgent);
    if (principal !== undefined) authorize(principal, zoneId, accounts);
    session.registering();
    if (principal !== undefined) await claimZone(principal, request, bindZone, signal);
    const connection = {
      instanceId,
      agentId,
      zoneId,
      ...(processId === undefined ? {} : { processId }),
      principal: principal?.name,
    };
    this.#settle(session, request, await claims.register(connection, accounts, signal));
  }

  /** Adds accounts to an active stream. @throws as register() */
  async addAccounts(session: Session, accounts: readonly AccountRegistration[], signal: AbortSignal): Promise<void> {
    const { registry, claims, maxAccountsPerAgent } = this.#options;
    const others = new Set(session.accounts.keys());
    for (const { name } of accounts) others.delete(name);
    validateAccounts('accounts_added.accounts', accounts, others.size, maxAccountsPerAgent);
    if (session.principal !== undefined) authorize(session.principal, session.agent.zoneId, accounts);
    const connection = registry.connectionOf(session);
    const claimed = await claims.claim(connection, accounts, signal);
    if (session.state === 'closed') {
      this.#release(connection, accounts);
      return;
    }
    this.#tellAccounts(session, claimed, this.#serve(session, accounts, claimed, connection));
  }

  /** The agent has stopped serving these accounts. */
  async removeAccounts(session: Session, names: readonly string[], signal: AbortSignal): Promise<void> {
    const { registry, claims } = this.#options;
    const own = names.filter((name) => session.accounts.has(name));
    registry.removeAccounts(session, own);
    await unlessAborted(claims.release(registry.connectionOf(session), own, 0), signal);
  }

  /**
   * Claims again the streams' accounts that others released while this instance was unreachable, and lets their agents
   * cache again. Assignments that are still in SQL are only read, so repeating this from the beginning is cheap.
   */
  async reclaim(signal: AbortSignal): Promise<void> {
    const { registry, caching } = this.#options;
    const active = [...registry.sessions].filter((session) => session.state === 'active');
    const lost = await reclaimMissing(this.#options, active, signal);
    for (const session of lost) registry.closed(session, replaced(session.agent.agentId));
    registry.announce();
    await caching.allow(signal);
  }

  /** Makes the claims the session's, unless they came too late. */
  #settle(session: Session, request: RegistrationRequest, { connection, ownerships }: Claimed): void {
    const { registry, frames, logger } = this.#options;
    const { principal } = session;
    const { agentId, zoneId, version, accounts, dynamicAccounts, kubernetesApi } = request;
    const { epoch } = connection;
    const older = registry.sessionOf(principal?.name, agentId);
    try {
      // The policy may have changed in the meantime.
      if (principal !== undefined) authorize(principal, zoneId, accounts);
      // The accounts show which connection is newer; for an agent without accounts only the epoch does.
      if (ownerships.some((account) => !holds(account, connection)) || (older?.agent.epoch ?? 0) > epoch)
        throw replaced(agentId);
    } catch (error) {
      this.#release(connection, accounts);
      throw error;
    }
    if (session.state === 'closed') {
      this.#release(connection, accounts);
      // This stream took the claims of the older one, which owns nothing now; its agent must dial again.
      if (older !== undefined) registry.closed(older, replaced(agentId));
      return;
    }
    const process = bindingTo(connection);
    registry.registered(session, { ...process, zoneId, version, dynamicAccounts, kubernetesApi });
    const gone = this.#serve(session, accounts, ownerships, connection);
    session.send(frames.registered(epoch));
    registry.tellSilence(session);
    if (older !== undefined) {
      // Operations of another process are not under way here.
      if (older.agent.processId === session.agent.processId) session.adopt(older);
      registry.closed(older, replaced(agentId));
    }
    this.#tellAccounts(session, ownerships, gone);
    logger.info(
      {
        ...process,
        zoneId,
        ...(principal === undefined ? {} : { principal: principal.name }),
        accounts: accounts.length,
        address: session.transport.address,
        tookMs: Math.round(session.ageMs),
      },
      'agent registered',
    );
  }

  /**
   * The stream serves those of the accounts that its connection holds.
   * @returns dynamic accounts that it does not hold: they were deleted, deactivated or moved elsewhere meanwhile
   */
  #serve(
    session: Session,
    accounts: readonly AccountRegistration[],
    claimed: readonly Ownership[],
    connection: Connection,
  ): readonly string[] {
    const held = new Set(claimed.filter((ownership) => holds(ownership, connection)).map(({ account }) => account));
    this.#options.registry.addAccounts(
      session,
      accounts.filter(({ name }) => held.has(name)),
    );
    const gone = accounts.filter(({ name, dynamicVersion }) => dynamicVersion !== undefined && !held.has(name));
    return gone.map(({ name }) => name);
  }

  /** Tells the agent what to cache, and to stop serving accounts that are gone. */
  #tellAccounts(session: Session, claimed: readonly Ownership[], gone: readonly string[]): void {
    const { caching, frames } = this.#options;
    caching.follow(claimed);
    if (gone.length > 0) session.send(frames.deleteAccounts(gone));
  }

  #release(connection: Connection, accounts: readonly AccountRegistration[]): void {
    void this.#options.claims.release(
      connection,
      accounts.map(({ name }) => name),
    );
  }
}
