/**
 * Brings a request of the Kubernetes API to the agent that answers it: over its tunnel if it is connected here, else to the
 * replica that holds it, once. As long as nothing of the request has left, it is tried again: an agent that changes
 * replicas is at none for a moment, and its callers had better wait than fail.
 */

import { withDeadline } from '../../core/deadline.js';
import { asUnsent, GatewayError, toGatewayError, type ErrorCode } from '../../core/errors.js';
import { backoffMs, wait } from '../../core/retry.js';
import type { Discovery } from '../../discovery/discovery.js';
import type { Ownership } from '../../store/assignments/ownership.js';
import type { Exchange, ExchangeEvents, HeaderList, HttpResponseHead } from '../../tunnel/exchange.js';
import type { FirstPart } from '../../tunnel/gateway-tunnel.js';
import type { OwnershipService } from '../agents/ownership.js';
import type { Registry } from '../agents/registry.js';
import { remoteOwner } from '../agents/remote-owner.js';
import type { Session } from '../agents/session.js';
import { AbsentAccounts } from './absent-accounts.js';
import type { ForwardedApiRequest } from '../peers/api-forwarding.js';
import type { PeerAddress } from '../peers/peer-address.js';

/** Opens an exchange at one place. */
export type OpenExchange<To> = (
  to: To,
  request: ForwardedApiRequest,
  first: FirstPart,
  events: ExchangeEvents,
) => Exchange;

export interface ApiRoutingOptions {
  readonly instanceId: string;
  readonly ownership: Pick<OwnershipService, 'resolve' | 'refresh' | 'onChange'>;
  readonly registry: Pick<Registry, 'sessionFor'>;
  readonly discovery: Pick<Discovery, 'instance'>;
  readonly toAgent: OpenExchange<Session>;
  readonly toPeer: OpenExchange<PeerAddress>;
  /** How long a request may wait for an agent to come back, in ms. */
  readonly holdMs: number;
  /** Time for which an account that is not known any more counts as one whose agent is away, in ms. */
  readonly forgetMs: number;
  /** Aborted when the gateway stops. */
  readonly stopping: AbortSignal;
}

/** Where a request went. */
export interface ApiDestination {
  readonly path: 'local' | 'forwarded';
  /** The replica that holds the agent's stream. */
  readonly instanceId: string;
  readonly agentId: string;
}

/** As long as an agent is between two replicas, they are asked again so often. */
const holdBackoff = { initialMs: 50, maximumMs: 500, multiplier: 1.6, jitter: 0.2 };

/** Codes that an agent's move, or the end of its replica, explains. */
const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'not-owner',
  'no-agent',
  'owner-unreachable',
  'draining',
  'replaced',
  'agent-lost',
  'cancelled',
  'dependency-unavailable',
  'timed-out',
]);

export class ApiRouting {
  readonly #options: ApiRoutingOptions;
  readonly #absent: AbsentAccounts;

  constructor(options: ApiRoutingOptions) {
    this.#options = options;
    const { holdMs, forgetMs, ownership } = options;
    this.#absent = new AbsentAccounts({ holdMs, forgetMs, now: () => performance.now() });
    ownership.onChange(({ account, assignments }) => {
      if (assignments.length === 0) this.#absent.missing(account);
      else this.#absent.found(account);
    });
  }

  /**
   * Starts a request of a caller. If its body is longer than the first part, the rest may be written after onDrain().
   * @param onDestination called when it is sent; again if it is sent elsewhere
   */
  start(
    request: ForwardedApiRequest,
    first: FirstPart,
    events: ExchangeEvents,
    onDestination: (destination: ApiDestination) => void,
  ): Exchange {
    const routed = new RoutedExchange(request, first, events, onDestination, this.#options, this.#absent);
    routed.begin();
    return routed;
  }

  /**
   * Starts a request that another replica has forwarded, as start(): it goes to an agent here, or nowhere.
   * @throws GatewayError `not-owner` if no agent here serves the account; what the agent's tunnel refuses
   */
  startHere(request: ForwardedApiRequest, first: FirstPart, events: ExchangeEvents): Exchange {
    const { registry, toAgent, instanceId } = this.#options;
    const session = registry.sessionFor(request.account);
    if (session !== undefined) {
      const exchange = toAgent(session, request, first, events);
      if (!first.complete)
        process.nextTick(() => {
          events.onDrain();
        });
      return exchange;
    }
    const { account } = request;
    const message = `instance ${instanceId} holds no stream for account "${account}"`;
    throw new GatewayError('not-owner', message, { account, instanceId, unsent: true });
  }
}

/** One exchange for its opener, whichever way it takes in the end. */
class RoutedExchange implements Exchange, ExchangeEvents {
  readonly #request: ForwardedApiRequest;
  readonly #first: FirstPart;
  readonly #events: ExchangeEvents;
  readonly #onDestination: (destination: ApiDestination) => void;
  readonly #options: ApiRoutingOptions;
  readonly #absent: AbsentAccounts;
  readonly #giveUpAt: number;
  #exchange: Exchange | undefined;
  /** While an owner is looked for. */
  #searching: AbortController | undefined;
  #attempts = 0;
  /** More of the body than the first part was sent: it cannot be sent again. */
  #bodyLeft = false;
  #ended = false;

  constructor(
    request: ForwardedApiRequest,
    first: FirstPart,
    events: ExchangeEvents,
    onDestination: (destination: ApiDestination) => void,
    options: ApiRoutingOptions,
    absent: AbsentAccounts,
  ) {
    this.#request = request;
    this.#first = first;
    this.#events = events;
    this.#onDestination = onDestination;
    this.#options = options;
    this.#absent = absent;
    this.#giveUpAt = absent.holdUntil(request.account);
  }

  /** Sends the request by what is in memory, or looks for its owner. */
  begin(): void {
    const { registry, ownership } = this.#options;
    const { account } = this.#request;
    const session = registry.sessionFor(account);
    if (session !== undefined) {
      this.#toAgent(session);
      return;
    }
    const owners = ownership.resolve(account);
    if (owners instanceof Promise || !this.#toOwner(owners)) void this.#search();
  }

  write(data: Uint8Array): boolean {
    // Its opener waits for onDrain() first, so that there is always an exchange.
    this.#bodyLeft = true;
    return this.#exchange?.write(data) ?? false;
  }

  end(trailers?: HeaderList): void {
    this.#exchange?.end(trailers);
  }

  consumed(bytes: number): void {
    this.#exchange?.consumed(bytes);
  }

  cancel(message: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#searching?.abort();
    this.#exchange?.cancel(message);
  }

  onResponse(head: HttpResponseHead): void {
    this.#absent.found(this.#request.account);
    this.#events.onResponse(head);
  }

  onData(data: Uint8Array): void {
    this.#events.onData(data);
  }

  onEnd(trailers: HeaderList): void {
    this.#events.onEnd(trailers);
  }

  onDrain(): void {
    this.#events.onDrain();
  }

  onFailed(error: GatewayError): void {
    if (this.#ended) return;
    this.#exchange = undefined;
    const mayPass = error.details.unsent === true && passing.has(error.code) && !this.#bodyLeft;
    if (mayPass && performance.now() < this.#giveUpAt) void this.#search(error);
    else this.#fail(error);
  }

  #fail(error: GatewayError): void {
    if (this.#ended) return;
    this.#ended = true;
    // The hold is over while the agent is between two replicas: which of them it is not at is nothing for a caller.
    this.#events.onFailed(error.code === 'not-owner' ? noAgent(this.#request.account) : error);
  }

  /** Asks the truth until an owner takes the request. @param failure of the last attempt, if there was one */
  async #search(failure?: GatewayError): Promise<void> {
    const { registry, stopping } = this.#options;
    const { account } = this.#request;
    const searching = new AbortController();
    this.#searching = searching;
    const { signal } = searching;
    // AbortSignal.any() would leak (core/deadline.ts).
    const stop = (): void => {
      searching.abort(stopping.reason);
    };
    stopping.addEventListener('abort', stop, { once: true });
    let last = failure;
    try {
      stopping.throwIfAborted();
      for (;;) {
        // "Not owner" is an answer: the truth is re-read at once. Anything else is given a pause.
        if (last !== undefined && (last.code !== 'not-owner' || this.#attempts > 1))
          await wait(backoffMs(holdBackoff, this.#attempts), signal);
        this.#attempts += 1;
        const session = registry.sessionFor(account);
        if (session !== undefined) {
          this.#toAgent(session);
          return;
        }
        last = await this.#ask(signal);
        if (last === undefined) return;
        if (!passing.has(last.code) || performance.now() >= this.#giveUpAt) throw last;
      }
    } catch (error) {
      this.#fail(asUnsent(error));
    } finally {
      stopping.removeEventListener('abort', stop);
      this.#searching = undefined;
    }
  }

  /** @returns why the request could not be sent; undefined: it was */
  async #ask(signal: AbortSignal): Promise<GatewayError | undefined> {
    const { ownership, holdMs } = this.#options;
    const { account } = this.#request;
    try {
      const timeoutMs = Math.max(1_000, holdMs);
      const owners = await withDeadline(timeoutMs, signal, `looking for the owner of account "${account}"`, (limit) =>
        ownership.refresh(account, limit),
      );
      signal.throwIfAborted();
      if (this.#toOwner(owners)) return undefined;
      if (owners !== undefined) this.#absent.missing(account);
      else if (!this.#absent.isRecent(account)) return unknownAccount(account);
      return noAgent(account);
    } catch (error) {
      signal.throwIfAborted();
      return toGatewayError(error);
    }
  }

  #toAgent(session: Session): void {
    const { toAgent, instanceId } = this.#options;
    this.#onDestination({ path: 'local', instanceId, agentId: session.agent.agentId });
    this.#opened((events) => toAgent(session, this.#request, this.#first, events));
  }

  /** @returns false if no other replica has an agent of the account, or it is not reachable */
  #toOwner(owners: Ownership | undefined): boolean {
    const { instanceId, discovery, toPeer } = this.#options;
    const owner = remoteOwner(owners, instanceId, ({ instanceId: id }) => discovery.instance(id) !== undefined);
    const peer = owner === undefined ? undefined : discovery.instance(owner.instanceId);
    if (owner === undefined || peer === undefined) return false;
    this.#onDestination({ path: 'forwarded', instanceId: owner.instanceId, agentId: owner.agentId });
    this.#opened((events) => toPeer(peer, this.#request, this.#first, events));
    return true;
  }

  #opened(open: (events: ExchangeEvents) => Exchange): void {
    try {
      this.#exchange = open(this);
    } catch (error) {
      process.nextTick(() => {
        this.onFailed(asUnsent(error));
      });
      return;
    }
    if (this.#first.complete) return;
    process.nextTick(() => {
      if (!this.#ended) this.#events.onDrain();
    });
  }
}

function unknownAccount(account: string): GatewayError {
  return new GatewayError('unknown-account', `account "${account}" is not known: no agent has registered it`, {
    account,
  });
}

function noAgent(account: string): GatewayError {
  const message = `account "${account}": no agent that serves it is connected`;
  return new GatewayError('no-agent', message, { account, unsent: true, retryAfterMs: 5_000 });
}
