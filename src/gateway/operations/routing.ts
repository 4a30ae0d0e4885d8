/**
 * Routes an operation to the instance that owns its account: finds that instance, delivers or forwards, and tries
 * again if the operation cannot be executed twice.
 */

import { withDeadline } from '../../core/deadline.js';
import { GatewayError, messageOf, toGatewayError, type ErrorCode } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { backoffMs, defaultBackoff, wait } from '../../core/retry.js';
import type { Discovery } from '../../discovery/discovery.js';
import { readOperationHeader, routedFrame, withRouting, type Binding } from '../../protocol/wire.js';
import type { Ownership } from '../../store/assignments/ownership.js';
import { bindingTo, isBoundTo } from '../agents/delivery.js';
import type { OwnershipService } from '../agents/ownership.js';
import { remoteOwner } from '../agents/remote-owner.js';
import type { Registry } from '../agents/registry.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { TraceHeaders, Tracing } from '../telemetry/tracing.js';
import type { Forwarder } from '../peers/forwarder.js';
import { isReading, timeOf, type Originated, type Dispatch, type Target } from './operation.js';
import { UnknownDelivery } from '../peers/peer.js';

export interface RoutingOptions {
  readonly instanceId: string;
  readonly ownership: OwnershipService;
  readonly registry: Pick<Registry, 'choose' | 'deliver'>;
  readonly discovery: Pick<Discovery, 'instance'>;
  readonly forwarder: Pick<Forwarder, 'operation'>;
  /** Records in kubesvc_ops which process may get the operation; false: another instance continues it. */
  readonly bind: (operationId: string, binding: Binding) => Promise<boolean>;
  /** Aborted when the gateway stops. */
  readonly stopping: AbortSignal;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  /** Attempts to find an owner, including the first. */
  readonly attempts: number;
}

/** The most of an operation's time that is spent on finding its owner, in ms. */
const routingTimeMs = 10_000;

export class Routing {
  readonly #options: RoutingOptions;

  constructor(options: RoutingOptions) {
    this.#options = options;
  }

  /**
   * The target for an operation of this account: from memory if possible, otherwise from the truth.
   * @throws GatewayError `unknown-account`, `no-agent`, `dependency-unavailable` (the promise)
   */
  target(account: string): Target | Promise<Target> {
    const local = this.#local(account, undefined);
    if (local !== undefined) return local;
    const owners = this.#options.ownership.resolve(account);
    if (owners instanceof Promise) return owners.then((resolved) => this.#remoteOrTrue(account, resolved));
    return this.#remote(owners, undefined) ?? this.#remoteOrTrue(account, owners);
  }

  async #remoteOrTrue(account: string, owners: Ownership | undefined): Promise<Target> {
    const target = this.#remote(owners, undefined);
    if (target !== undefined) return target;
    // The mirror may not know a new registration yet: the truth decides the caller's answer.
    const truth = await this.#refresh(account, routingTimeMs);
    return this.#expect(account, truth, undefined);
  }

  /**
   * Sends a new operation to its agent if that is connected here and everything is known: the usual case, which
   * waits for nothing.
   * @returns false if it must be routed
   */
  deliverHere(operation: Originated, target: Target): boolean {
    const { instanceId, metrics } = this.#options;
    if (target.instanceId !== instanceId || operation.taken !== undefined) return false;
    if (operation.binding !== undefined && operation.binding.epoch !== target.epoch) return false;
    const started = performance.now();
    try {
      operation.taken = this.#deliver(operation);
    } catch {
      // Its agent has left this very moment, or is too busy: routing decides.
      return false;
    }
    operation.routing = false;
    metrics.routed('local', (performance.now() - started) / 1_000);
    return true;
  }

  /**
   * Sends the operation to its owner; one that was taken before goes only to the process that it is bound to.
   * @param first the target to try first, if known
   * @throws GatewayError if no owner took it within the attempts and the time
   */
  async route(operation: Originated, first?: Target): Promise<void> {
    const { attempts, metrics, instanceId } = this.#options;
    const started = performance.now();
    const until = Math.min(operation.deadline, started + routingTimeMs);
    operation.routing = true;
    const resent = operation.taken !== undefined;
    try {
      for (let attempt = 0; ; attempt += 1) {
        let target = attempt === 0 ? first : undefined;
        try {
          target ??= await this.#find(operation, attempt > 0, until);
          operation.taken = await this.#give(operation, target);
          const path = operation.taken.instanceId === instanceId ? 'local' : 'forwarded';
          metrics.routed(path, (performance.now() - started) / 1_000);
          return;
        } catch (thrown) {
          const error = toGatewayError(thrown);
          if (target !== undefined && error.details.cause instanceof UnknownDelivery && !isReading(operation.type)) {
            // It may be on its way. The result or the time-out will tell; "failed" could be wrong here.
            operation.taken = { ...target, ...takenNow(operation) };
            this.#options.logger.warn(
              { operationId: operation.id, ownerInstanceId: target.instanceId },
              'connection to the owner lost while sending an operation; waiting for the result',
            );
            return;
          }
          if (!mayPass(error, resent || attempt > 0) || attempt + 1 >= attempts) throw forCaller(error, operation);
          // "Not owner" is an answer: the truth is re-read at once. A silent peer is given a pause.
          if (error.code === 'not-owner' && attempt === 0) continue;
          const pauseMs = backoffMs(defaultBackoff, attempt);
          if (performance.now() + pauseMs >= until) throw forCaller(error, operation);
          await wait(pauseMs, this.#options.stopping);
        }
      }
    } finally {
      operation.routing = false;
    }
  }

  async #find(operation: Originated, doubtful: boolean, until: number): Promise<Target> {
    const { ownership } = this.#options;
    const { account, binding, taken } = operation;
    const only = taken === undefined ? undefined : binding;
    const local = this.#local(account, only);
    if (local !== undefined) return local;
    const owners = doubtful
      ? await this.#refresh(account, until - performance.now())
      : await ownership.resolve(account);
    return this.#expect(account, owners, only);
  }

  async #give(operation: Originated, target: Target): Promise<Dispatch> {
    const { instanceId, discovery, forwarder, bind, metrics, tracing } = this.#options;
    const { id, account } = operation;
    // An operation that nobody took may go to another agent, or to this agent's next process; one that was taken stays
    // bound.
    if (operation.binding !== undefined && operation.taken === undefined && operation.binding.epoch !== target.epoch) {
      const binding = bindingTo(target);
      if (operation.durable && !(await bind(id, binding))) {
        const message = `another instance has taken operation ${id} over; look it up`;
        throw new GatewayError('timed-out', message, { operationId: id, account });
      }
      operation.binding = binding;
    }
    if (target.instanceId === instanceId) return this.#deliver(operation);
    const peer = discovery.instance(target.instanceId);
    if (peer === undefined) {
      throw new GatewayError(
        'owner-unreachable',
        `instance ${target.instanceId}, which owns account "${account}", is not among the members`,
        { instanceId: target.instanceId, account, retryAfterMs: 1_000 },
      );
    }
    const span = tracing.start('forward', { kind: 'client', parent: this.#traceOf(operation) });
    const attributes = { 'agent_gateway.operation.id': id, 'agent_gateway.peer': target.instanceId };
    try {
      const answer = await forwarder.operation(
        peer,
        withRouting(operation.bytes, this.#timeLeft(operation), operation.binding),
      );
      span?.end(attributes);
      metrics.forwards.inc({ outcome: 'taken' });
      return { ...target, ...takenNow(operation), ...answer };
    } catch (error) {
      span?.end(attributes, messageOf(error));
      metrics.forwards.inc({ outcome: forwardOutcome(error) });
      throw error;
    }
  }

  /** @throws GatewayError `not-owner`, `overloaded` */
  #deliver(operation: Originated): Dispatch {
    const { instanceId, registry } = this.#options;
    const { id, account, binding } = operation;
    const timeoutMs = this.#timeLeft(operation);
    const { traceparent } = this.#traceOf(operation);
    const delivery = registry.deliver(
      {
        id,
        account,
        originatingInstanceId: instanceId,
        timeoutMs,
        traceparent,
        binding,
        processedTime: timeOf(operation),
      },
      routedFrame(operation.bytes, timeoutMs, binding),
    );
    return { instanceId, ...delivery };
  }

  #traceOf({ bytes }: Originated): TraceHeaders {
    return { traceparent: this.#options.tracing.enabled ? readOperationHeader(bytes).traceparent : '', tracestate: '' };
  }

  #timeLeft({ deadline }: Originated): number {
    return Math.max(1, Math.ceil(deadline - performance.now()));
  }

  #refresh(account: string, ms: number): Promise<Ownership | undefined> {
    const { ownership } = this.#options;
    return withDeadline(
      Math.max(1, Math.ceil(ms)),
      this.#options.stopping,
      `looking for the owner of account "${account}"`,
      (signal) => ownership.refresh(account, signal),
    );
  }

  #local(account: string, binding: Binding | undefined): Target | undefined {
    const stream = this.#options.registry.choose(account, binding);
    return stream === undefined ? undefined : { instanceId: this.#options.instanceId, ...stream };
  }

  #remote(owners: Ownership | undefined, binding: Binding | undefined): Target | undefined {
    return remoteOwner(
      owners,
      this.#options.instanceId,
      (assignment) => binding === undefined || isBoundTo(binding, assignment),
    );
  }

  #expect(account: string, owners: Ownership | undefined, binding: Binding | undefined): Target {
    // The stream may have been opened while the truth was read.
    const target = this.#local(account, binding) ?? this.#remote(owners, binding);
    if (target !== undefined) return target;
    if (owners === undefined) {
      const message = `account "${account}" is not known: no agent has registered it`;
      throw new GatewayError('unknown-account', message, { account });
    }
    const who =
      binding === undefined
        ? 'no agent that serves it is connected'
        : `the process of agent ${binding.agentId} that received the operation is gone`;
    throw new GatewayError('no-agent', `account "${account}": ${who}`, { account, retryAfterMs: 5_000 });
  }
}

/** Used if the owner, which knows the times better, does not send them. */
function takenNow(operation: Originated): Pick<Dispatch, 'processedTime' | 'sentTime'> {
  const time = timeOf(operation);
  return { processedTime: time, sentTime: time };
}

/**
 * An agent that is changing instances is briefly connected to none; an agent that was not connected from the start is
 * not waited for.
 */
function mayPass({ code }: GatewayError, seenBefore: boolean): boolean {
  return code === 'not-owner' || code === 'owner-unreachable' || (code === 'no-agent' && seenBefore);
}

function forCaller(error: GatewayError, { account, id }: Originated): GatewayError {
  // "Not owner" is for instances only; a caller can only wait until the agent has settled.
  if (error.code !== 'not-owner') return error;
  const message = `account "${account}": its agent is changing instances; try again`;
  return new GatewayError('no-agent', message, { account, operationId: id, retryAfterMs: 1_000, cause: error });
}

function forwardOutcome(error: unknown): ErrorCode {
  const { code, details } = toGatewayError(error);
  return details.cause instanceof UnknownDelivery && details.cause.timedOut ? 'timed-out' : code;
}
