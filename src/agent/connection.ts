/**
 * An agent's connection to the gateway: dials, registers, executes operations, and comes back after every loss.
 * connection-state.ts describes its states, operation-runner.ts what happens to an operation.
 */

import { status as grpcStatus } from '@grpc/grpc-js';
import { backoffMs } from '../core/retry.js';
import {
  Reconnect_Reason,
  type Account,
  type AgentMessage,
  type GatewayMessage,
  type Reconnect,
  type Registered,
} from '../protocol/generated/ops/operations_pb.js';
import { tellAccounts, tellChanges } from './account-changes.js';
import type { CachingChange } from './caching-sink.js';
import { CachingStream } from './caching-stream.js';
import { resolveOptions, type AgentConnectionOptions, type ResolvedOptions } from './connection-options.js';
import { isRefusal, type ConnectionState } from './connection-state.js';
import { dialWaitMs } from './dial-wait.js';
import { DynamicAccounts } from './dynamic-accounts.js';
import { encodeAgentMessage, GatewayStream, type GatewayStreamEvents, type StreamEnd } from './gateway-stream.js';
import { OwnEpochs } from './own-epochs.js';
import { RequestStreams } from './kubernetes-api/request-streams.js';
import { OperationRunner, type OperationCounts } from './operation-runner.js';

export class AgentConnection {
  readonly #options: ResolvedOptions;
  readonly #runner: OperationRunner;
  readonly #events: GatewayStreamEvents;
  #state: ConnectionState = { name: 'idle' };
  /** The registered stream that carries everything new. */
  #current: GatewayStream | undefined;
  /** Epochs of this process, the newest last: gateways that do not send process ids bind operations to them. */
  readonly #epochs = new OwnEpochs();
  /** When a dial was given up whose registration the gateway may still have accepted. */
  #givenUpAt = Number.NEGATIVE_INFINITY;
  #currentSince = 0;
  /** The gateway's Registered message for #current. */
  #registration: Registered | undefined;
  /** The present dial was started because nothing was heard on #current. */
  #dialsForSilence = false;
  /** The stream that is being dialled. */
  #dialled: GatewayStream | undefined;
  /** Replaced streams that still owe results, each with the timer that ends it. */
  readonly #retiring = new Map<GatewayStream, NodeJS.Timeout>();
  /** The wait before the next dial: backoff, or Reconnect's delay. */
  #dialTimer: NodeJS.Timeout | undefined;
  readonly #caching = new Set<string>();
  readonly #dynamic: DynamicAccounts;
  #cachingStream: CachingStream | undefined;
  readonly #requests: RequestStreams;
  #nextAddress = 0;
  /** Consecutive dials without a stable stream. */
  #failures = 0;
  #stopping: Promise<void> | undefined;
  #streamEnded: (() => void) | undefined;

  /** @throws RangeError when `addresses` is empty */
  constructor(options: AgentConnectionOptions) {
    this.#options = resolveOptions(options);
    const { execute, logger, now, limits } = this.#options;
    this.#runner = new OperationRunner({
      ...limits,
      execute,
      logger,
      now,
      currentSink: () => this.#current,
      isOwn: ({ boundProcessId, boundEpoch }) =>
        boundProcessId === '' ? this.#epochs.has(boundEpoch) : boundProcessId === this.#options.registration.processId,
    });
    const { registration, dynamicAccounts, answerKubernetesApi: answer } = this.#options;
    this.#requests = new RequestStreams({ answer, logger, onIdle: (stream) => this.#endIfDone(stream) });
    const isOwn = (name: string): boolean => registration.accounts.some((account) => account.name === name);
    const send = (message: AgentMessage['message']): void => {
      this.#current?.send(encodeAgentMessage(message));
    };
    this.#dynamic = new DynamicAccounts(dynamicAccounts, isOwn, send, logger);
    this.#events = {
      onTransport: (stream) => this.#transportUp(stream),
      onRegistered: (stream, registered) => this.#registered(stream, registered),
      onMessage: (stream, message) => this.#receive(stream, message),
      onEnd: (stream, end) => this.#ended(stream, end),
      onSilent: (stream, silenceMs) => this.#silent(stream, silenceMs),
      onHeard: (stream) => this.#heard(stream),
    };
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get agentId(): string {
    return this.#options.registration.agentId;
  }

  /** Names of the accounts that this agent caches now. */
  get caching(): readonly string[] {
    return [...this.#caching];
  }

  /** Names of the accounts that the gateway asked for and that this agent serves. */
  get dynamicAccounts(): readonly string[] {
    return this.#dynamic.accounts.map(({ name }) => name);
  }

  get operations(): OperationCounts {
    return this.#runner.counts;
  }

  get #stops(): boolean {
    return this.#state.name === 'stopping' || this.#state.name === 'stopped';
  }

  /** Starts to dial; further calls do nothing. Agents start with a random address. */
  start(): void {
    if (this.#state.name !== 'idle') return;
    this.#nextAddress = Math.floor(this.#options.random() * this.#options.addresses.length);
    this.#dial();
  }

  /**
   * Changes the agent's own accounts, and tells the gateway over the current stream. An account in both lists
   * has changed.
   */
  updateAccounts(removed: readonly string[], added: readonly Account[]): void {
    const { registration } = this.#options;
    const changed = new Set([...removed, ...added.map(({ name }) => name)]);
    registration.accounts = [...registration.accounts.filter(({ name }) => !changed.has(name)), ...added];
    if (this.#current !== undefined) tellAccounts(this.#current, removed, added);
  }

  /** The agent's own accounts and those that the gateway asked for. */
  get #accounts(): Account[] {
    return [...this.#options.registration.accounts, ...this.#dynamic.accounts];
  }

  /**
   * Ends the connection: refuses new operations and requests of the Kubernetes API, waits up to `drainMs` for those under
   * way and for the receipts of results, then ends the streams. Calling it again gives the same promise. Never rejects.
   */
  stop({ drainMs = 0 }: { readonly drainMs?: number } = {}): Promise<void> {
    this.#stopping ??= this.#stop(drainMs);
    return this.#stopping;
  }

  async #stop(drainMs: number): Promise<void> {
    this.#enter({ name: 'stopping' });
    clearTimeout(this.#dialTimer);
    this.#dialTimer = undefined;
    this.#dialled?.cancel();
    this.#runner.close();
    this.#endCaching();
    if (drainMs > 0) await this.#drained(drainMs);
    this.#runner.abort();
    this.#requests.close('the agent stops');
    this.#current?.end(this.#options.limits.endMs);
    for (const stream of this.#retiring.keys()) stream.end(this.#options.limits.endMs);
    while (this.#current !== undefined || this.#retiring.size > 0) {
      await new Promise<void>((resolve) => (this.#streamEnded = resolve));
    }
    this.#enter({ name: 'stopped' });
  }

  async #drained(drainMs: number): Promise<void> {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), drainMs);
    const { signal } = controller;
    await Promise.all([this.#runner.idle(signal), this.#requests.drain(signal)]);
    clearTimeout(timer);
  }

  #dial(): void {
    const { addresses, security, dialTarget, limits } = this.#options;
    const registration = { ...this.#options.registration, accounts: this.#accounts };
    this.#dialTimer = undefined;
    const address = addresses[this.#nextAddress % addresses.length] ?? addresses[0];
    this.#nextAddress += 1;
    this.#dialled = new GatewayStream({ ...limits, address, security, dialTarget, registration }, this.#events);
    this.#enterDialling(this.#dialled);
    this.#dialled.dial();
  }

  #dialLater(waitMs: number): void {
    clearTimeout(this.#dialTimer);
    this.#dialTimer = setTimeout(() => this.#dial(), waitMs);
  }

  #transportUp(stream: GatewayStream): void {
    if (stream === this.#dialled) this.#enterDialling(stream);
  }

  #registered(stream: GatewayStream, registered: Registered): void {
    const { logger, now } = this.#options;
    const { clouddriverId, epoch } = registered;
    this.#registration = registered;
    this.#dialsForSilence = false;
    this.#epochs.add(epoch);
    const replaced = this.#current;
    this.#current = stream;
    this.#currentSince = now();
    this.#dialled = undefined;
    // An assignment to cache is valid only for its own stream: another agent may have got it meanwhile.
    this.#endCaching();
    this.#cachingStream = this.#newCachingStream(stream, epoch);
    this.#enter({ name: 'active', address: stream.address, clouddriverId, epoch });
    logger.info({ clouddriverId, address: stream.address, epoch: String(epoch) }, 'registered with the gateway');
    if (replaced !== undefined) this.#retire(replaced);
    tellChanges(stream, this.#accounts);
    this.#runner.resend();
  }

  #receive(stream: GatewayStream, message: GatewayMessage['message']): void {
    switch (message.case) {
      case 'operation':
        this.#runner.accept(message.value, stream);
        return;
      case 'receipts':
        for (const { operationId } of message.value.receipts) this.#runner.acknowledge(operationId);
        for (const retiring of this.#retiring.keys()) this.#endIfDone(retiring);
        return;
      case 'caching':
        if (stream === this.#current && !this.#stops) this.#changeCaching(message.value);
        return;
      case 'reconnect':
        this.#reconnect(stream, message.value);
        return;
      case 'addAccounts':
        if (stream === this.#current && !this.#stops) this.#dynamic.add(message.value.accounts);
        return;
      case 'deleteAccounts':
        if (stream === this.#current && !this.#stops) this.#dynamic.remove(message.value.names);
        return;
      case 'openKubernetesApi':
        if (!this.#stops) this.#requests.open(stream);
        return;
      case 'registered':
      case 'ping':
      case undefined:
        return;
    }
  }

  #reconnect(stream: GatewayStream, { reason, delayMs }: Reconnect): void {
    const underWay = this.#dialled !== undefined || this.#dialTimer !== undefined;
    if (stream !== this.#current || underWay || this.#stops) return;
    this.#enter({ name: 'reconnecting', reason });
    this.#forgiveIfStable();
    this.#dialLater(delayMs);
  }

  /**
   * Other agents may already cache this agent's accounts. The link may only be slow: the stream stays in use until a
   * new one is registered.
   */
  #silent(stream: GatewayStream, silenceMs: number): void {
    if (stream !== this.#current || this.#stops) {
      stream.cancel();
      return;
    }
    const { limits, random, logger } = this.#options;
    this.#endCaching();
    logger.warn({ address: stream.address, silenceMs }, 'gateway is silent; caching stops, dialling again');
    if (this.#dialled !== undefined || this.#dialTimer !== undefined) return;
    this.#dialsForSilence = true;
    this.#enter({ name: 'reconnecting', reason: Reconnect_Reason.UNSPECIFIED });
    this.#forgiveIfStable();
    this.#dialLater(backoffMs(limits.backoff, this.#failures, random));
  }

  #heard(stream: GatewayStream): void {
    if (stream !== this.#current || this.#registration === undefined || this.#stops) return;
    const { clouddriverId, epoch } = this.#registration;
    this.#cachingStream = this.#newCachingStream(stream, epoch);
    this.#options.logger.info({ clouddriverId, address: stream.address }, 'gateway answers again');
    if (!this.#dialsForSilence) return;
    this.#dialsForSilence = false;
    clearTimeout(this.#dialTimer);
    this.#dialTimer = undefined;
    const dialled = this.#dialled;
    this.#dialled = undefined;
    if (dialled !== undefined) this.#givenUpAt = this.#options.now();
    dialled?.cancel();
    this.#enter({ name: 'active', address: stream.address, clouddriverId, epoch });
  }

  /**
   * A replaced stream ends once it has no results left to deliver: results are best sent on the stream of their
   * operation.
   */
  #retire(stream: GatewayStream): void {
    const { retireMs, retireRequestsMs, endMs } = this.#options.limits;
    this.#requests.retire(stream, retireRequestsMs);
    const retired = (): void => {
      if (!this.#requests.busy(stream)) stream.end(endMs);
    };
    this.#retiring.set(stream, setTimeout(retired, retireMs));
    this.#endIfDone(stream);
  }

  #endIfDone(stream: GatewayStream): void {
    if (!this.#retiring.has(stream) || this.#requests.busy(stream)) return;
    if (!this.#runner.owes(stream)) stream.end(this.#options.limits.endMs);
  }

  #ended(stream: GatewayStream, end: StreamEnd): void {
    const timer = this.#retiring.get(stream);
    this.#requests.retire(stream, this.#options.limits.retireRequestsMs);
    if (timer !== undefined) {
      clearTimeout(timer);
      this.#retiring.delete(stream);
      // Results that may have been lost with it go to the stream that replaced it.
      this.#runner.resend();
    } else if (stream === this.#current) {
      this.#current = undefined;
      this.#dialsForSilence = false;
      this.#endCaching();
      this.#forgiveIfStable();
      if (this.#dialled === undefined) this.#backOff(stream, end);
      else if (!this.#stops) this.#enterDialling(this.#dialled);
    } else if (stream === this.#dialled) {
      this.#dialled = undefined;
      if (!isRefusal(end)) this.#givenUpAt = this.#options.now();
      this.#backOff(stream, end);
    }
    this.#streamEnded?.();
  }

  #backOff(stream: GatewayStream, end: StreamEnd): void {
    if (this.#stops) return;
    const { limits, random, logger, now } = this.#options;
    const gaveUp = now() - this.#givenUpAt < limits.registerTimeoutMs;
    const waitMs = dialWaitMs(end, limits, { failures: this.#failures, gaveUp }, random);
    // The gateway's requested wait ends with its overload.
    if (end.retryAfterMs === undefined) this.#failures += 1;
    const fields = { address: stream.address, status: grpcStatus[end.code], waitMs };
    logger.warn(fields, `connection to the gateway ended: ${end.message}`);
    if (this.#current === undefined) this.#enter({ name: 'backing-off', waitMs, cause: end });
    this.#dialLater(waitMs);
  }

  #changeCaching({ start, stop }: CachingChange): void {
    if (start.length === 0 && stop.length === 0) return;
    for (const account of stop) this.#caching.delete(account);
    for (const account of start) this.#caching.add(account);
    this.#cachingStream?.change({ start, stop });
    this.#options.onCaching({ start, stop });
  }

  #endCaching(): void {
    this.#changeCaching({ start: [], stop: this.caching });
    this.#cachingStream?.close();
    this.#cachingStream = undefined;
  }

  #newCachingStream(stream: GatewayStream, epoch: bigint): CachingStream | undefined {
    const { streamAccount, limits, logger, random } = this.#options;
    if (streamAccount === undefined) return undefined;
    return new CachingStream({
      open: () => stream.openCaching(),
      agentId: this.agentId,
      epoch,
      streamAccount,
      backoff: limits.backoff,
      windowBytes: limits.cachingWindowBytes,
      logger,
      random,
    });
  }

  /** While a stream is still registered, it determines the state. */
  #enterDialling({ connected, address }: GatewayStream): void {
    if (this.#current !== undefined) return;
    this.#enter({ name: connected ? 'registering' : 'connecting', address });
  }

  #forgiveIfStable(): void {
    if (this.#options.now() - this.#currentSince >= this.#options.limits.stableMs) this.#failures = 0;
  }

  #enter(state: ConnectionState): void {
    this.#state = state;
    this.#options.onState(state);
  }
}
