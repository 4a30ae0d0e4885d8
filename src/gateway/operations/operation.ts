/**
 * An operation inside the gateway: its state while it is under way, and how it ends.
 *
 * received → routed → sent → answered → recorded: "The way of an operation" in docs/architecture.md.
 */

import { GatewayError } from '../../core/errors.js';
import { withOriginator, type Binding, type ResultHeader } from '../../protocol/wire.js';
import type {
  AgentResult,
  FinalOutcome,
  FinishedOperation,
  RecordedRequest,
  UnfinishedOperation,
} from '../../store/operations/operation-record.js';

/**
 * Requests that change nothing in the cluster (proto/ops/operations.proto). They are not written to kubesvc_ops
 * unless the caller chose their id, and may be sent to another agent when the first is lost.
 */
const readingTypes: ReadonlySet<string> = new Set(['get', 'list', 'logs', 'access_review']);

export function isReading(type: string): boolean {
  return readingTypes.has(type);
}

/** A stream that can execute an operation: one agent's, at one instance. */
export interface Target extends Binding {
  readonly instanceId: string;
}

/** The stream that an owner sent an operation on. Times are by the owner's clock, Unix ms. */
export interface Dispatch extends Target {
  readonly processedTime: number;
  readonly sentTime: number;
}

/** An operation that this instance waits for: a caller submitted it here, or it was adopted from a dead instance. */
export interface Originated extends RecordedRequest {
  readonly id: string;
  readonly account: string;
  readonly type: string;
  /** The operation as it is sent, except for the remaining time. */
  readonly bytes: Uint8Array;
  /** Identifies the request, regardless of id and time-out. */
  readonly digest: string;
  /** Whether it is in kubesvc_ops. */
  readonly durable: boolean;
  /** The instance that received the operation from the caller. */
  readonly receivedByInstanceId: string;
  /** Unix ms, as it is recorded. */
  readonly receivedTime: number;
  /** The same moment by performance.now(): somebody may set the wall clock while the operation is under way. */
  readonly receivedAt: number;
  /** Total time that it may take, in ms. */
  readonly timeoutMs: number;
  /** By performance.now(). */
  readonly deadline: number;
  /**
   * The only process of an agent that may get it: another one would execute it twice. Durable operations are bound in
   * kubesvc_ops before they are sent, so that an instance that adopts them knows the binding; reading ones are never
   * bound.
   */
  binding: Binding | undefined;
  /** Set once an owner has taken it; the latest one if it had to be sent again. */
  taken: Dispatch | undefined;
  /** Its route is being (re)done; recovery leaves it alone meanwhile. */
  routing: boolean;
}

/**
 * The current time for the operation's record, Unix ms: never earlier than a time recorded before, even if the clock is
 * set back.
 */
export function timeOf({ receivedTime, receivedAt }: Pick<Originated, 'receivedTime' | 'receivedAt'>): number {
  return Math.floor(receivedTime + performance.now() - receivedAt);
}

/** An operation of a dead instance, as `instanceId` continues it. */
export function adopted(stored: UnfinishedOperation, instanceId: string): Originated {
  const deadline = performance.now() + stored.timeLeftMs;
  const { agentId, agentEpoch, agentProcessId: processId } = stored;
  return {
    id: stored.id,
    account: stored.account,
    type: stored.operationType,
    bytes: withOriginator(stored.body, instanceId),
    digest: stored.digest,
    durable: true,
    receivedByInstanceId: stored.receivedByInstanceId,
    receivedTime: stored.receivedTime,
    // By the database's clock, which knows how much of the time has passed.
    receivedAt: deadline - stored.timeoutMs,
    timeoutMs: stored.timeoutMs,
    deadline,
    binding:
      agentId === '' ? undefined : { agentId, epoch: agentEpoch, ...(processId === undefined ? {} : { processId }) },
    // It is unknown whether it was sent: treat it as sent, on a connection that is gone.
    taken: {
      instanceId: '',
      agentId,
      epoch: 0,
      processedTime: stored.receivedTime,
      sentTime: stored.receivedTime,
    },
    routing: true,
    ...requestOf(stored),
  };
}

/** Only what belongs in a record. */
export function requestOf({ caller, object, mode }: RecordedRequest): RecordedRequest {
  return { caller, object, mode };
}

/** How an operation ended. */
export interface Ending {
  readonly outcome: FinalOutcome;
  readonly endTime: number;
  /** Why it did not complete, or the agent's message. */
  readonly message: string;
  readonly answer?: AgentResult;
}

/** The record of an operation that has ended; `instanceId` is the instance that waited for it. */
export function recordOf(operation: Originated, instanceId: string, ending: Ending): FinishedOperation {
  const { taken } = operation;
  const { outcome, endTime, message, answer } = ending;
  return {
    operationId: operation.id,
    operationType: operation.type,
    account: operation.account,
    digest: operation.digest,
    startTime: operation.receivedTime,
    endTime,
    totalDurationMs: endTime - operation.receivedTime,
    finalOutcome: outcome,
    receivedBy: { instanceId: operation.receivedByInstanceId, time: operation.receivedTime },
    processedBy: taken && { instanceId: taken.instanceId, time: taken.processedTime },
    sentToAgent: taken && { agentId: taken.agentId, time: taken.sentTime },
    resultReceivedFromAgent: answer,
    resultReceivedBy: answer && { instanceId, time: endTime },
    errorMessage: answer === undefined ? message : undefined,
    resultMessage: answer === undefined ? undefined : message,
    ...requestOf(operation),
  };
}

/** The error for a caller whose operation ended without the expected result. */
export function endedWithout(outcome: FinalOutcome, { id, account }: Pick<Originated, 'id' | 'account'>): GatewayError {
  const code = outcome === 'agent lost' ? 'agent-lost' : outcome === 'cancelled' ? 'cancelled' : 'timed-out';
  return new GatewayError(code, `operation ${id} has ended: ${outcome}`, { operationId: id, account });
}

/** A restarted agent does not know whether its predecessor executed it (proto/ops/operations.proto). */
const restarted = 'AgentRestarted';

/** 2xx is success (ops.OperationResult.status). */
export function outcomeOf({ status, reason }: Pick<ResultHeader, 'status' | 'reason'>): FinalOutcome {
  if (reason === restarted) return 'agent lost';
  return status >= 200 && status < 300 ? 'completed' : 'failed';
}
