/**
 * The entry side of an operation: this instance was asked, so it alone resolves the owner, delivers or forwards,
 * tries again, waits for the result and records the outcome.
 */

import { ulid } from 'ulid';
import { GatewayError, toGatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { Pending, type Taken as TakenOut } from '../../core/pending.js';
import { backoffMs, defaultBackoff, wait } from '../../core/retry.js';
import type { Discovery } from '../../discovery/discovery.js';
import { operationFrame, withTimeout } from '../../protocol/wire.js';
import type { AgentResult, OperationRecord } from '../../store/operation-record.js';
import type { OperationStore } from '../../store/operations.js';
import type { Assignment, Ownership } from '../../store/ownership.js';
import type { OwnershipService } from '../agents/ownership.js';
import type { Registry } from '../agents/registry.js';
import type { Metrics } from '../telemetry/metrics.js';
import { UnknownDelivery, type Forwarder } from './forwarder.js';
import { isReading, recordOf, type Originated, type Taken } from './operation.js';
import type { Recorder } from './recorder.js';

export interface RouterOptions {
  readonly instanceId: string;
  readonly ownership: OwnershipService;
  readonly registry: Registry;
  readonly discovery: Discovery;
  readonly forwarder: Forwarder;
  readonly recorder: Recorder;
  readonly operations: Pick<OperationStore, 'find'>;
  /** Encodes what is recorded of a result (grpc/frames.ts). */
  readonly recordedResult: (record: OperationRecord, answer: AgentResult) => Uint8Array;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly maxPending: number;
  /** Time for an operation that names none, in ms. */
  readonly defaultTimeoutMs: number;
  readonly maxTimeoutMs: number;
  /** How often an owner is looked for, the first time included. */
  readonly routingAttempts: number;
  readonly maxMessageBytes: number;
  readonly now: () => number;
}

/** An operation as a caller gave it, encoded by whoever took it; see {@link Router.prepare}. */
export interface Submission {
  /** '' lets the gateway choose it. */
  readonly id: string;
  readonly account: string;
  readonly type: string;
  /** 0 takes the default, in ms. */
  readonly timeoutMs: number;
  readonly traceparent: string;
  readonly digest: string;
  /** Encodes the operation with what the gateway adds to it. */
  readonly encode: (id: string, receivedTime: number) => Uint8Array;
}

/** An operation that was taken. */
export interface Accepted {
  readonly id: string;
  /** The result, encoded; rejects with `timed-out`, `agent-lost` ... */
  readonly result: Promise<Uint8Array>;
}

const ulidPattern = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/u;
/** Of the time an operation has, no more than this is spent on finding its owner, in ms. */
const routingTimeMs = 10_000;
/** How often the record of an operation that another instance waits for is looked at, in ms. */
const recordedPollMs = 250;

export class Router {
  readonly #options: RouterOptions;
  readonly #pending: Pending<Uint8Array, Originated>;
  readonly #byAccount = new Map<string, Set<Originated>>();
  readonly #stopping = new AbortController();
  #refusing: GatewayError | undefined;

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#pending = new Pending(options.maxPending);
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /** From now on submissions are refused with `error` (drain); what is under way goes on. */
  refuse(error: GatewayError): void {
    this.#refusing = error;
  }

  stop(): void {
    this.#stopping.abort(new GatewayError('draining', 'this instance is stopping', { retryAfterMs: 1_000 }));
  }

  /** The operation that this instance waits for, if it does. */
  originated(id: string): Originated | undefined {
    return this.#pending.context(id);
  }

  /** Operations under way on an account, for recovery. */
  ofAccount(account: string): readonly Originated[] {
    return [...(this.#byAccount.get(account) ?? [])];
  }

  accountsUnderWay(): IterableIterator<string> {
    return this.#byAccount.keys();
  }

  /** Takes the operation out of the table: the caller records and settles it. */
  take(id: string): TakenOut<Uint8Array, Originated> | undefined {
    const taken = this.#pending.take(id);
    if (taken !== undefined) this.#forget(taken.context);
    return taken;
  }

  /**
   * Takes an operation and brings it to the agent that owns its account.
   * @returns once the owner has it
   * @throws GatewayError `invalid-argument`, `unknown-account`, `no-agent`, `operation-conflict`, `overloaded`,
   *   `owner-unreachable`, `too-large`, `draining`, `timed-out`, `dependency-unavailable`
   */
  async submit(submission: Submission): Promise<Accepted> {
    if (this.#refusing !== undefined) throw this.#refusing;
    validate(submission);
    const { account, digest } = submission;
    const known = this.#pending.context(submission.id);
    const underWay = this.#pending.promise(submission.id);
    if (known !== undefined && underWay !== undefined) {
      if (known.digest !== digest) throw conflict(submission.id);
      return { id: known.id, result: underWay };
    }
    await this.#requireAgent(account);
    const operation = this.#originate(submission);
    const promise = this.#pending.add(operation.id, operation, operation.deadline - operation.receivedTime, (taken) => {
      this.#timedOut(taken);
    });
    this.#remember(operation);
    try {
      if (operation.durable && !(await this.#begin(operation))) {
        this.take(operation.id);
        const result = this.#elsewhere(operation);
        result.catch(() => undefined);
        return { id: operation.id, result };
      }
      await this.route(operation);
    } catch (error) {
      await this.#refused(operation, toGatewayError(error));
      throw error;
    }
    this.#options.metrics.pending.set(this.#pending.size);
    return { id: operation.id, result: promise };
  }

  /**
   * Finds the owner and gives it the operation, trying again where nothing can have been done twice.
   * @param onlyAgentId the agent that the operation was sent to before
   * @throws GatewayError when no owner could be found in the attempts and the time there are
   */
  async route(operation: Originated, onlyAgentId?: string): Promise<void> {
    const { now, routingAttempts, metrics, ownership } = this.#options;
    const started = now();
    const signal = AbortSignal.any([
      this.#stopping.signal,
      AbortSignal.timeout(Math.max(1, Math.min(routingTimeMs, operation.deadline - started))),
    ]);
    operation.routing = true;
    try {
      for (let attempt = 0; ; attempt += 1) {
        const owners =
          attempt === 0
            ? await ownership.resolve(operation.account)
            : await ownership.refresh(operation.account, signal);
        try {
          const taken = await this.#give(operation, owners, onlyAgentId, signal);
          operation.taken = taken;
          metrics.routingSeconds.observe({ path: this.#path(taken) }, (now() - started) / 1_000);
          return;
        } catch (thrown) {
          const error = toGatewayError(thrown);
          if (error.details.cause instanceof UnknownDelivery && !this.#mayRepeat(operation)) {
            this.#assumeTaken(operation, owners, error.details.instanceId);
            // It may be on its way. The result, or the time-out, will tell; saying "failed" here could be a lie.
            this.#options.logger.warn(
              { operationId: operation.id, instanceId: error.details.instanceId },
              'the owner broke off while it took an operation; waiting for the result',
            );
            return;
          }
          if (attempt + 1 >= routingAttempts || (error.code !== 'not-owner' && error.code !== 'owner-unreachable'))
            throw unreachable(error, operation);
          // "Not owner" is an answer: the truth is re-read at once. A silent peer is given a moment.
          if (error.code === 'owner-unreachable' || attempt > 0) await wait(backoffMs(defaultBackoff, attempt), signal);
        }
      }
    } catch (error) {
      if (signal.aborted && !(error instanceof GatewayError)) {
        throw this.#stopping.signal.aborted
          ? this.#stopping.signal.reason
          : new GatewayError(
              'timed-out',
              `no owner of account "${operation.account}" took operation ${operation.id} in time`,
              { operationId: operation.id, account: operation.account },
            );
      }
      throw error;
    } finally {
      operation.routing = false;
    }
  }

  async #give(
    operation: Originated,
    owners: Ownership | undefined,
    onlyAgentId: string | undefined,
    signal: AbortSignal,
  ): Promise<Taken> {
    const { instanceId, registry, discovery, forwarder, metrics, now } = this.#options;
    const bytes = withTimeout(operation.bytes, Math.max(1, operation.deadline - now()));
    const local = {
      id: operation.id,
      account: operation.account,
      originatingInstanceId: instanceId,
      timeoutMs: operation.deadline - now(),
      onlyAgentId,
    };
    if (registry.serves(operation.account, onlyAgentId))
      return { instanceId, ...registry.deliver(local, operationFrame(bytes)) };
    const owner = choose(owners, instanceId, onlyAgentId);
    if (owner === undefined) throw noAgent(operation.account, owners !== undefined, onlyAgentId);
    const peer = discovery.instance(owner.instanceId);
    if (peer === undefined) {
      throw new GatewayError(
        'owner-unreachable',
        `instance ${owner.instanceId}, which owns account "${operation.account}", is not among the members`,
        { instanceId: owner.instanceId, account: operation.account, retryAfterMs: 1_000 },
      );
    }
    try {
      const answer = await forwarder.operation(peer, bytes, onlyAgentId, signal);
      metrics.forwards.inc({ outcome: 'taken' });
      const time = now();
      return {
        instanceId: owner.instanceId,
        agentId: answer.agentId ?? owner.agentId,
        epoch: answer.epoch ?? owner.epoch,
        processedTime: answer.processedTime ?? time,
        sentTime: answer.sentTime ?? time,
      };
    } catch (error) {
      metrics.forwards.inc({ outcome: forwardOutcome(error) });
      throw error;
    }
  }

  /** Names the agent that a broken-off owner gave the operation to, where that can only be one: recovery watches it. */
  #assumeTaken(operation: Originated, owners: Ownership | undefined, instanceId: string | undefined): void {
    const candidates = owners?.assignments.filter((assignment) => assignment.instanceId === instanceId) ?? [];
    const [only] = candidates;
    if (only === undefined || candidates.length > 1) return;
    const time = this.#options.now();
    operation.taken = { ...only, processedTime: time, sentTime: time };
  }

  #originate(submission: Submission): Originated {
    const { now, defaultTimeoutMs, maxTimeoutMs, maxMessageBytes } = this.#options;
    const { account, type, digest, traceparent } = submission;
    const receivedTime = now();
    const id = submission.id === '' ? ulid(receivedTime) : submission.id;
    const bytes = submission.encode(id, receivedTime);
    if (bytes.length > maxMessageBytes) {
      throw new GatewayError(
        'too-large',
        `the operation has ${String(bytes.length)} bytes; ${String(maxMessageBytes)} are allowed (kubesvc.grpc.server.maxInboundMessageSize)`,
        { operationId: id, account },
      );
    }
    const timeoutMs = Math.min(submission.timeoutMs === 0 ? defaultTimeoutMs : submission.timeoutMs, maxTimeoutMs);
    return {
      id,
      account,
      type,
      digest,
      traceparent,
      bytes,
      durable: !isReading(type) || submission.id !== '',
      receivedTime,
      deadline: receivedTime + timeoutMs,
      taken: undefined,
      routing: true,
    };
  }

  /** @returns false when the same operation is known already, under way elsewhere or ended */
  async #begin(operation: Originated): Promise<boolean> {
    const outcome = await this.#options.recorder.begin({
      id: operation.id,
      account: operation.account,
      operationType: operation.type,
      body: operation.bytes,
      digest: operation.digest,
      receivedByInstanceId: this.#options.instanceId,
      receivedTime: operation.receivedTime,
      deadlineTime: operation.deadline,
    });
    if (outcome.status === 'inserted') return true;
    if (outcome.digest !== operation.digest) throw conflict(operation.id);
    return false;
  }

  /** The operation was submitted before, to this instance or another, and has ended or is waited for there. */
  async #elsewhere({ id, account, deadline }: Originated): Promise<Uint8Array> {
    const { operations, recordedResult, now } = this.#options;
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(Math.max(1, deadline - now()))]);
    for (;;) {
      const record = await operations.find(id, signal);
      const answer = record?.resultReceivedFromAgent;
      if (record !== undefined && answer !== undefined) return recordedResult(record, answer);
      if (record?.finalOutcome !== undefined) {
        throw new GatewayError(
          record.finalOutcome === 'agent lost'
            ? 'agent-lost'
            : record.finalOutcome === 'cancelled'
              ? 'cancelled'
              : 'timed-out',
          `operation ${id} has ended: ${record.finalOutcome}`,
          { operationId: id, account },
        );
      }
      await wait(recordedPollMs, signal);
    }
  }

  /** Fails fast, before anything is written, where no owner can exist. */
  async #requireAgent(account: string): Promise<void> {
    const { ownership, registry } = this.#options;
    if (registry.serves(account, undefined)) return;
    const resolved = ownership.resolve(account);
    const owners = resolved instanceof Promise ? await resolved : resolved;
    if (owners === undefined || owners.assignments.length === 0) {
      const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(routingTimeMs)]);
      // The mirror may not have heard of a registration yet: the truth decides what the caller is told.
      const truth = owners === undefined ? undefined : await ownership.refresh(account, signal);
      if (truth === undefined || truth.assignments.length === 0)
        throw noAgent(account, owners !== undefined, undefined);
    }
  }

  /** Nobody took it: what was written of it is taken back, so that the caller may try again with the same id. */
  async #refused(operation: Originated, error: GatewayError): Promise<void> {
    this.take(operation.id)?.reject(error);
    this.#options.metrics.operations.inc({ path: 'none', outcome: error.code });
    if (operation.durable && error.code !== 'operation-conflict') {
      await this.#options.recorder.withdraw(operation.id).catch((failure: unknown) => {
        this.#options.logger.warn(
          { operationId: operation.id, error: toGatewayError(failure).message },
          'refused operation not withdrawn',
        );
      });
    }
  }

  #timedOut(taken: TakenOut<Uint8Array, Originated>): void {
    const operation = taken.context;
    this.#forget(operation);
    const lost = operation.taken !== undefined && !this.#stillHeld(operation.account, operation.taken);
    const error = lost
      ? new GatewayError(
          'agent-lost',
          `agent ${operation.taken?.agentId ?? ''} went away while it worked on operation ${operation.id} and did not come back in time; whether it was done is not known`,
          { operationId: operation.id, account: operation.account },
        )
      : new GatewayError(
          'timed-out',
          `operation ${operation.id} had no result after ${String(operation.deadline - operation.receivedTime)} ms`,
          { operationId: operation.id, account: operation.account },
        );
    this.end(taken, lost ? 'agent lost' : 'timed out', error);
  }

  /** Ends an operation without a result: recorded, and told to whoever waits. */
  end(
    taken: TakenOut<Uint8Array, Originated>,
    outcome: 'timed out' | 'agent lost' | 'cancelled',
    error: GatewayError,
  ): void {
    const operation = taken.context;
    const { recorder, instanceId, metrics, now } = this.#options;
    metrics.operations.inc({ path: this.#path(operation.taken), outcome: outcome.replace(' ', '_') });
    recorder.endLater(recordOf(operation, instanceId, { outcome, endTime: now(), message: error.message }));
    taken.reject(error);
  }

  #path(taken: Taken | undefined): 'local' | 'forwarded' | 'none' {
    if (taken === undefined) return 'none';
    return taken.instanceId === this.#options.instanceId ? 'local' : 'forwarded';
  }

  #stillHeld(account: string, taken: Taken): boolean {
    const owners = this.#options.ownership.peek(account);
    return (
      owners === undefined ||
      owners.assignments.some(({ agentId, epoch }) => agentId === taken.agentId && epoch === taken.epoch)
    );
  }

  /** Reading twice harms nobody. */
  #mayRepeat(operation: Originated): boolean {
    return isReading(operation.type);
  }

  #remember(operation: Originated): void {
    const operations = this.#byAccount.get(operation.account);
    if (operations === undefined) this.#byAccount.set(operation.account, new Set([operation]));
    else operations.add(operation);
    this.#options.metrics.pending.set(this.#pending.size);
  }

  #forget(operation: Originated): void {
    const operations = this.#byAccount.get(operation.account);
    operations?.delete(operation);
    if (operations?.size === 0) this.#byAccount.delete(operation.account);
    this.#options.metrics.pending.set(this.#pending.size);
  }
}

function validate({ id, account, type }: Submission): void {
  if (id !== '' && !ulidPattern.test(id)) {
    throw new GatewayError(
      'invalid-argument',
      `operation.id: expected a ULID (26 characters of Crockford base 32), got "${id.slice(0, 64)}"`,
      { field: 'operation.id' },
    );
  }
  if (account === '')
    throw new GatewayError('invalid-argument', 'operation.account: expected the name of an account', {
      field: 'operation.account',
    });
  if (type === '')
    throw new GatewayError(
      'invalid-argument',
      'operation: expected one request (deploy, delete, get, list, patch, scale, restart, pause, resume, undo, run_job, logs, access_review)',
      { field: 'operation' },
    );
}

/** A caching agent's replica first: it answers from the freshest knowledge. Own rows are stale if no stream is here. */
function choose(owners: Ownership | undefined, self: string, onlyAgentId: string | undefined): Assignment | undefined {
  let best: Assignment | undefined;
  for (const assignment of owners?.assignments ?? []) {
    if (assignment.instanceId === self) continue;
    if (onlyAgentId !== undefined && assignment.agentId !== onlyAgentId) continue;
    if (best === undefined || (assignment.caching && !best.caching)) best = assignment;
  }
  return best;
}

function noAgent(account: string, known: boolean, onlyAgentId: string | undefined): GatewayError {
  if (!known)
    return new GatewayError('unknown-account', `account "${account}" is not known: no agent has registered it`, {
      account,
    });
  const who = onlyAgentId === undefined ? 'no agent that serves it' : `agent ${onlyAgentId}`;
  return new GatewayError(
    'no-agent',
    `account "${account}": ${who} is connected${onlyAgentId === undefined ? '' : ' no more'}`,
    { account, retryAfterMs: 5_000 },
  );
}

function unreachable(error: GatewayError, operation: Originated): GatewayError {
  // "Not owner" is between instances; a caller can only wait for the agent to settle.
  if (error.code !== 'not-owner') return error;
  return new GatewayError('no-agent', `account "${operation.account}": its agent is changing instances; try again`, {
    account: operation.account,
    operationId: operation.id,
    retryAfterMs: 1_000,
    cause: error,
  });
}

function conflict(id: string): GatewayError {
  return new GatewayError('operation-conflict', `operation id ${id} was used before for something else`, {
    operationId: id,
  });
}

function forwardOutcome(error: unknown): string {
  const { code } = toGatewayError(error);
  if (code === 'not-owner') return 'not_owner';
  return code === 'owner-unreachable' ? 'unreachable' : 'refused';
}
