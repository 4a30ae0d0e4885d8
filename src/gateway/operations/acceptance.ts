/**
 * The originating side of an operation: this instance received it, so it alone finds the owner (routing.ts), waits for
 * the result and records the outcome.
 */

import { unlessAborted, withDeadline } from '../../core/deadline.js';
import { GatewayError, toGatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { Pending, type PendingLimits, type TakenEntry } from '../../core/pending.js';
import { wait } from '../../core/retry.js';
import { routingBytes } from '../../protocol/wire.js';
import type { AgentResult, OperationRecord, UnfinishedOperation } from '../../store/operations/operation-record.js';
import type { OperationStore } from '../../store/operations/operations.js';
import { bindingTo } from '../agents/delivery.js';
import type { OwnershipService } from '../agents/ownership.js';
import type { Metrics } from '../telemetry/metrics.js';
import {
  adopted,
  endedWithout,
  isReading,
  recordOf,
  requestOf,
  timeOf,
  type Originated,
  type Dispatch,
  type Target,
} from './operation.js';
import type { Recorder } from './recorder.js';
import type { Routing } from './routing.js';
import { createOperationIds } from './operation-id.js';
import { idConflict, validateSubmission, type Submission } from './submission.js';

export interface AcceptanceOptions {
  readonly instanceId: string;
  readonly ownership: OwnershipService;
  readonly routing: Pick<Routing, 'target' | 'deliverHere' | 'route'>;
  /** Aborted when the gateway stops. */
  readonly stopping: AbortSignal;
  readonly recorder: Recorder;
  readonly operations: Pick<OperationStore, 'find'>;
  /** Encodes the recorded part of a result (grpc/frames.ts). */
  readonly recordedResult: (record: OperationRecord, answer: AgentResult) => Uint8Array;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Of operations under way. */
  readonly pending: PendingLimits;
  /** Time-out of an operation that sets none, in ms. */
  readonly defaultTimeoutMs: number;
  readonly maxTimeoutMs: number;
  readonly maxMessageBytes: number;
  /** Wall clock, Unix ms: for recorded times. */
  readonly now: () => number;
}

/** An operation that was taken. */
export interface Accepted {
  readonly id: string;
  /** The result, encoded; rejects with `timed-out`, `agent-lost` ... */
  readonly result: Promise<Uint8Array>;
}

/** How often the record of an operation that another instance waits for is read, in ms. */
const recordedPollMs = 250;

export class Acceptance {
  readonly #options: AcceptanceOptions;
  readonly #pending: Pending<Uint8Array, Originated>;
  readonly #byAccount = new Map<string, Set<Originated>>();
  readonly #newId = createOperationIds();
  #refusing: GatewayError | undefined;

  constructor(options: AcceptanceOptions) {
    this.#options = options;
    this.#pending = new Pending(options.pending);
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Refuses submissions with `error` from now on (drain); operations under way continue. */
  refuse(error: GatewayError): void {
    this.#refusing = error;
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
  take(id: string): TakenEntry<Uint8Array, Originated> | undefined {
    const taken = this.#pending.take(id);
    if (taken !== undefined) this.#forget(taken.context);
    return taken;
  }

  /**
   * Accepts an operation and sends it to the agent that owns its account.
   * @returns once the owner has it
   * @throws GatewayError `invalid-argument`, `unknown-account`, `no-agent`, `operation-conflict`, `overloaded`,
   *   `owner-unreachable`, `too-large`, `draining`, `timed-out`, `dependency-unavailable`
   */
  async submit(submission: Submission): Promise<Accepted> {
    if (this.#refusing !== undefined) throw this.#refusing;
    validateSubmission(submission);
    const known = this.#known(submission);
    if (known !== undefined) return known;
    let target: Target;
    try {
      const found = this.#options.routing.target(submission.account);
      target = found instanceof Promise ? await this.#inTime(submission, found) : found;
    } catch (error) {
      if (toGatewayError(error).code === 'timed-out') throw error;
      // It may have ended long ago, and its agent may be gone.
      const recorded = await this.#recorded(submission);
      if (recorded !== undefined) return recorded;
      throw error;
    }
    // The same operation may have arrived while the owner was looked up.
    const twin = this.#known(submission);
    if (twin !== undefined) return twin;
    const operation = this.#originate(submission, target);
    const result = this.#wait(operation);
    try {
      if (operation.durable) {
        const begin = this.#begin(operation, submission.id === '');
        begin.catch(() => undefined);
        // A database that does not answer must not keep the caller past the deadline; one stored later is not sent.
        const begun = await Promise.race([begin, result.then(() => undefined)]);
        if (begun === undefined) return { id: operation.id, result };
        if (!begun) {
          this.take(operation.id);
          return this.#elsewhere(operation);
        }
      }
      if (!this.#options.routing.deliverHere(operation, target)) {
        const routed = this.#options.routing.route(operation, target);
        routed.catch(() => undefined);
        // The deadline may pass during the lookup, and the result may arrive before the owner's answer.
        await Promise.race([routed, result]);
      }
    } catch (error) {
      throw await this.#refused(operation, toGatewayError(error));
    }
    return { id: operation.id, result };
  }

  /**
   * Continues an operation of a dead instance. No caller waits for its result; it is only recorded.
   * @returns false if this instance already waits for it
   * @throws GatewayError `overloaded`
   */
  adopt(stored: UnfinishedOperation): boolean {
    if (this.#pending.context(stored.id) !== undefined) return false;
    const operation = adopted(stored, this.#options.instanceId);
    void this.#wait(operation);
    this.#options.metrics.adopted.inc();
    this.#options.routing.route(operation).catch((error: unknown) => {
      // Its agent is not back yet: recovery sends the operation once it is.
      this.#options.logger.debug(
        { operationId: operation.id, error: toGatewayError(error).message },
        'adopted operation waits for its agent',
      );
    });
    return true;
  }

  /** Ends an operation without a result: records it and tells the waiting caller. */
  end(
    taken: TakenEntry<Uint8Array, Originated>,
    outcome: 'timed out' | 'agent lost' | 'cancelled',
    error: GatewayError,
  ): void {
    const operation = taken.context;
    const { recorder, instanceId, metrics } = this.#options;
    const endTime = timeOf(operation);
    metrics.ended(this.path(operation.taken), outcome, (endTime - operation.receivedTime) / 1_000);
    recorder.endLater(recordOf(operation, instanceId, { outcome, endTime, message: error.message }), operation.durable);
    taken.reject(error);
  }

  /** How an operation ended, for metrics. */
  path(taken: Dispatch | undefined): 'local' | 'forwarded' | 'none' {
    if (taken === undefined) return 'none';
    return taken.instanceId === this.#options.instanceId ? 'local' : 'forwarded';
  }

  /** The same operation, if this instance already waits for it. @throws GatewayError `operation-conflict` */
  #known({ id, digest }: Submission): Accepted | undefined {
    const known = this.#pending.context(id);
    const result = this.#pending.promise(id);
    if (known === undefined || result === undefined) return undefined;
    if (known.digest !== digest) throw idConflict(id);
    return { id, result };
  }

  /** A database that does not answer must not keep the caller past the deadline. */
  #inTime(submission: Submission, found: Promise<Target>): Promise<Target> {
    const what = `looking for the owner of account "${submission.account}"`;
    const { stopping } = this.#options;
    return withDeadline(this.#timeoutMs(submission), stopping, what, (signal) => unlessAborted(found, signal));
  }

  #timeoutMs({ timeoutMs }: Submission): number {
    const { defaultTimeoutMs, maxTimeoutMs } = this.#options;
    return Math.min(timeoutMs === 0 ? defaultTimeoutMs : timeoutMs, maxTimeoutMs);
  }

  #originate(submission: Submission, target: Target): Originated {
    const { now, instanceId, maxMessageBytes } = this.#options;
    const { account, type, digest } = submission;
    const receivedTime = now();
    const receivedAt = performance.now();
    const id = submission.id === '' ? this.#newId(receivedTime) : submission.id;
    const bytes = submission.encode(id, receivedTime);
    // As large as any agent may receive it, now or after a loss: an agent with this limit would lose its stream each time.
    const most = bytes.length + routingBytes;
    if (most > maxMessageBytes) {
      const message = `the operation has ${String(most)} bytes including what gateways add; ${String(maxMessageBytes)} are allowed (kubesvc.grpc.server.maxInboundMessageSize)`;
      throw new GatewayError('too-large', message, { operationId: id, account });
    }
    const timeoutMs = this.#timeoutMs(submission);
    const reading = isReading(type);
    return {
      id,
      account,
      type,
      digest,
      bytes,
      durable: !reading || submission.id !== '',
      receivedByInstanceId: instanceId,
      receivedTime,
      receivedAt,
      timeoutMs,
      deadline: receivedAt + timeoutMs,
      binding: reading ? undefined : bindingTo(target),
      taken: undefined,
      routing: true,
      ...requestOf(submission),
    };
  }

  #wait(operation: Originated): Promise<Uint8Array> {
    const timeoutMs = operation.deadline - performance.now();
    const timedOut = this.#timedOut.bind(this);
    const result = this.#pending.add(operation.id, operation, timeoutMs, timedOut, operation.bytes.length);
    const operations = this.#byAccount.get(operation.account);
    if (operations === undefined) this.#byAccount.set(operation.account, new Set([operation]));
    else operations.add(operation);
    return result;
  }

  /**
   * @param made the id was made here
   * @returns false if the same operation is already known: it is under way elsewhere, or has ended
   */
  async #begin(operation: Originated, made: boolean): Promise<boolean> {
    const { id, account, type, bytes, digest, receivedByInstanceId, receivedTime, timeoutMs, binding } = operation;
    const stored = {
      id,
      account,
      operationType: type,
      ...requestOf(operation),
      body: bytes,
      digest,
      receivedByInstanceId,
      receivedTime,
      timeoutMs,
      agentId: binding?.agentId ?? '',
      agentEpoch: binding?.epoch ?? 0,
      ...(binding?.processId === undefined ? {} : { agentProcessId: binding.processId }),
    };
    if (made) {
      await this.#options.recorder.beginNew(stored);
      return true;
    }
    const outcome = await this.#options.recorder.begin(stored);
    if (outcome.status === 'inserted') return true;
    if (outcome.digest !== digest) throw idConflict(id);
    return false;
  }

  /** The operation was submitted before, to this instance or another, and has ended or is waited for there. */
  #elsewhere(operation: Pick<Originated, 'id' | 'account' | 'deadline'>): Accepted {
    const result = this.#awaitRecord(operation);
    result.catch(() => undefined);
    return { id: operation.id, result };
  }

  /** The same operation, if the database knows it. @throws GatewayError `operation-conflict` */
  async #recorded({ id, account, digest }: Submission): Promise<Accepted | undefined> {
    if (id === '') return undefined;
    const { operations, defaultTimeoutMs } = this.#options;
    const record = await operations.find(id);
    if (record === undefined) return undefined;
    if (record.digest !== digest) throw idConflict(id);
    return this.#elsewhere({ id, account, deadline: performance.now() + defaultTimeoutMs });
  }

  async #awaitRecord({ id, account, deadline }: Pick<Originated, 'id' | 'account' | 'deadline'>): Promise<Uint8Array> {
    const { operations, recordedResult, stopping } = this.#options;
    while (performance.now() < deadline) {
      const left = Math.max(1, Math.ceil(deadline - performance.now()));
      const record = await withDeadline(left, stopping, `reading operation ${id}`, (at) => operations.find(id, at));
      const answer = record?.resultReceivedFromAgent;
      if (record !== undefined && answer !== undefined) return recordedResult(record, answer);
      const outcome = record?.finalOutcome;
      if (outcome !== undefined) throw endedWithout(outcome, { id, account });
      await wait(recordedPollMs, stopping);
    }
    const message = `operation ${id} is under way on another instance and had no result in time`;
    throw new GatewayError('timed-out', message, { operationId: id, account });
  }

  /**
   * No owner took the operation: withdraws its record, so that the caller may try again with the same id.
   * @returns the error for the caller: without a withdrawal another instance may continue it, so it is not refused
   */
  async #refused(operation: Originated, error: GatewayError): Promise<GatewayError> {
    const { metrics, recorder, logger } = this.#options;
    const taken = this.take(operation.id);
    // It has ended in the meantime, at its deadline.
    if (taken === undefined) return error;
    const { id, account, durable } = operation;
    let told = error;
    if (durable && error.code !== 'operation-conflict' && error.details.unsent !== true) {
      const doubt = (why: string, what: string): void => {
        const message = `${why} operation ${id} ${what}; it may still be executed: look it up, or send it again with the same id`;
        told = new GatewayError('timed-out', message, { operationId: id, account, cause: error });
      };
      try {
        if (!(await recorder.withdraw(id, operation.receivedByInstanceId))) doubt('another instance has taken', 'over');
      } catch (failure) {
        const fields = { operationId: id, error: toGatewayError(failure).message };
        logger.warn(fields, 'could not withdraw a refused operation; it may still be executed');
        doubt('the database became unavailable while', 'was being stored');
      }
    }
    taken.reject(told);
    metrics.ended('none', told.code, (timeOf(operation) - operation.receivedTime) / 1_000);
    return told;
  }

  #timedOut(taken: TakenEntry<Uint8Array, Originated>): void {
    const operation = taken.context;
    this.#forget(operation);
    const { id, account, timeoutMs } = operation;
    const details = { operationId: id, account };
    if (operation.taken !== undefined && !this.#stillHeld(account, operation.taken)) {
      const message = `agent ${operation.taken.agentId} disconnected during operation ${id} and did not come back in time; the operation may have been executed`;
      this.end(taken, 'agent lost', new GatewayError('agent-lost', message, details));
    } else {
      const message = `operation ${id} had no result after ${String(timeoutMs)} ms`;
      this.end(taken, 'timed out', new GatewayError('timed-out', message, details));
    }
  }

  #stillHeld(account: string, taken: Dispatch): boolean {
    const owners = this.#options.ownership.peek(account);
    return (
      owners === undefined ||
      owners.assignments.some(({ agentId, epoch }) => agentId === taken.agentId && epoch === taken.epoch)
    );
  }

  #forget(operation: Originated): void {
    const operations = this.#byAccount.get(operation.account);
    operations?.delete(operation);
    if (operations?.size === 0) this.#byAccount.delete(operation.account);
  }
}
