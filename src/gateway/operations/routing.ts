/**
 * Brings an operation to the instance that owns its account: finds out who that is, delivers or forwards, and tries
 * again where nothing can have been done twice.
 */

import { setMaxListeners } from 'node:events';
import { withDeadline } from '../../core/deadline.js';
import { GatewayError, messageOf, toGatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { backoffMs, defaultBackoff, wait } from '../../core/retry.js';
import type { Discovery } from '../../discovery/discovery.js';
import { readOperationHeader, routedFrame, withRouting, type Binding } from '../../protocol/wire.js';
import type { Ownership } from '../../store/ownership.js';
import { bindingTo, isBoundTo } from '../agents/delivery.js';
import type { OwnershipService } from '../agents/ownership.js';
import type { Registry } from '../agents/registry.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { TraceHeaders, Tracing } from '../telemetry/tracing.js';
import type { Forwarder } from './forwarder.js';
import { isReading, timeOf, type Originated, type Dispatch, type Target } from './operation.js';
import { UnknownDelivery } from './peer.js';

export interface RoutingOptions {
  readonly instanceId: string;
  readonly ownership: OwnershipService;
  readonly registry: Pick<Registry, 'choose' | 'deliver'>;
  readonly discovery: Pick<Discovery, 'instance'>;
  readonly forwarder: Pick<Forwarder, 'operation'>;
  /** Notes in kubesvc_ops who may have the operation; false: another instance goes on with it. */
  readonly bind: (operationId: string, binding: Binding) => Promise<boolean>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  /** How often an owner is looked for, the first time included. */
  readonly attempts: number;
}

/** Of the time an operation has, no more than this is spent on finding its owner, in ms. */
const routingTimeMs = 10_000;

export class Routing {
  readonly #options: RoutingOptions;
  readonly #stopping = new AbortController();

  constructor(options: RoutingOptions) {
    this.#options = options;
    // Every operation that waits listens to it.
    setMaxListeners(0, this.#stopping.signal);
  }

  stop(): void {
    this.#stopping.abort(new GatewayError('draining', 'this instance is stopping', { retryAfterMs: 1_000 }));
  }

  /** Aborted when the gateway stops. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /**
   * Who should get an operation of this account, by what is known without asking anybody, or else by the truth.
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
    // The mirror may not have heard of a registration yet: the truth decides what the caller is told.
    const truth = await this.#refresh(account, routingTimeMs);
    return this.#expect(account, truth, undefined);
  }

  /**
   * Gives a new operation to its agent where that is connected here, and everything is known: the usual case, which
   * waits for nothing.
   * @returns false when it has to be routed
   */
  deliverHere(operation: Originated, target: Target): boolean {
    const { instanceId, metrics } = this.#options;
    if (target.instanceId !== instanceId || operation.taken !== undefined) return false;
    if (operation.binding !== undefined && operation.binding.epoch !== target.epoch) return false;
    const started = performance.now();
    try {
      operation.taken = this.#deliver(operation);
    } catch {
      // Its agent has gone this very moment, or has too much to do: routing tells.
      return false;
    }
    operation.routing = false;
    metrics.routed('local', (performance.now() - started) / 1_000);
    return true;
  }

  /**
   * Gives the operation to its owner; one that was taken before to no other process than the one that it is bound to.
   * @param first where to try first, if that is known
   * @throws GatewayError when no owner took it in the attempts and the time there are
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
            // It may be on its way. The result, or the time-out, will tell; saying "failed" here could be a lie.
            operation.taken = { ...target, ...takenNow(operation) };
            this.#options.logger.warn(
              { operationId: operation.id, ownerInstanceId: target.instanceId },
              'the owner broke off while it took an operation; waiting for the result',
            );
            return;
          }
          if (!mayPass(error, resent || attempt > 0) || attempt + 1 >= attempts) throw forCaller(error, operation);
          // "Not owner" is an answer: the truth is re-read at once. A silent peer is given a moment.
          if (error.code === 'not-owner' && attempt === 0) continue;
          const pauseMs = backoffMs(defaultBackoff, attempt);
          if (performance.now() + pauseMs >= until) throw forCaller(error, operation);
          await wait(pauseMs, this.#stopping.signal);
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
    // One that nobody took may go to another agent, or to this one's next life; one that was taken stays where it is.
    if (operation.binding !== undefined && operation.taken === undefined && operation.binding.epoch !== target.epoch) {
      const binding = bindingTo(target);
      if (operation.durable && !(await bind(id, binding))) {
        const message = `another instance has taken operation ${id} over; ask for it`;
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
        ...{ id, account, originatingInstanceId: instanceId, timeoutMs, traceparent, binding },
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
      this.#stopping.signal,
      `looking for the owner of account "${account}"`,
      (signal) => ownership.refresh(account, signal),
    );
  }

  #local(account: string, binding: Binding | undefined): Target | undefined {
    const stream = this.#options.registry.choose(account, binding);
    return stream === undefined ? undefined : { instanceId: this.#options.instanceId, ...stream };
  }

  /** The agent that caches first: it is the one that is known to be well. Own rows are stale if no stream is here. */
  #remote(owners: Ownership | undefined, binding: Binding | undefined): Target | undefined {
    let best: Ownership['assignments'][number] | undefined;
    for (const assignment of owners?.assignments ?? []) {
      if (assignment.instanceId === this.#options.instanceId) continue;
      if (binding !== undefined && !isBoundTo(binding, assignment)) continue;
      if (best === undefined || (assignment.caching && !best.caching)) best = assignment;
    }
    return best;
  }

  #expect(account: string, owners: Ownership | undefined, binding: Binding | undefined): Target {
    // The stream may have come while the truth was read.
    const target = this.#local(account, binding) ?? this.#remote(owners, binding);
    if (target !== undefined) return target;
    if (owners === undefined) {
      const message = `account "${account}" is not known: no agent has registered it`;
      throw new GatewayError('unknown-account', message, { account });
    }
    const who =
      binding === undefined
        ? 'no agent that serves it is connected'
        : `the process of agent ${binding.agentId} that has the operation is gone`;
    throw new GatewayError('no-agent', `account "${account}": ${who}`, { account, retryAfterMs: 5_000 });
  }
}

/** Where the owner, who knows the times better, does not tell them. */
function takenNow(operation: Originated): Pick<Dispatch, 'processedTime' | 'sentTime'> {
  const time = timeOf(operation);
  return { processedTime: time, sentTime: time };
}

/** An agent that is changing instances is nowhere for a moment; one that was nowhere to begin with is not waited for. */
function mayPass({ code }: GatewayError, seenBefore: boolean): boolean {
  return code === 'not-owner' || code === 'owner-unreachable' || (code === 'no-agent' && seenBefore);
}

function forCaller(error: GatewayError, { account, id }: Originated): GatewayError {
  // "Not owner" is between instances; a caller can only wait for the agent to settle.
  if (error.code !== 'not-owner') return error;
  const message = `account "${account}": its agent is changing instances; try again`;
  return new GatewayError('no-agent', message, { account, operationId: id, retryAfterMs: 1_000, cause: error });
}

function forwardOutcome(error: unknown): string {
  const { code, details } = toGatewayError(error);
  if (code === 'not-owner') return 'not_owner';
  if (details.cause instanceof UnknownDelivery && details.cause.timedOut) return 'timed_out';
  return code === 'owner-unreachable' ? 'unreachable' : 'refused';
}
