/**
 * An operation inside the gateway: what is known of it while it is under way, and how it ends.
 *
 * received → routed → sent → answered → recorded: "The way of an operation" in docs/architecture.md.
 */

import { GatewayError } from '../../core/errors.js';
import type { Binding, ResultHeader } from '../../protocol/wire.js';
import type { AgentResult, FinalOutcome, FinishedOperation } from '../../store/operations/operation-record.js';

/**
 * Requests that change nothing in the cluster (proto/ops/operations.proto). They are not written to kubesvc_ops
 * unless the caller chose their id, and may be given to another agent when theirs is lost.
 */
const readingTypes: ReadonlySet<string> = new Set(['get', 'list', 'logs', 'access_review']);

export function isReading(type: string): boolean {
  return readingTypes.has(type);
}

/** Who can do an operation: one agent's stream at one instance. */
export interface Target extends Binding {
  readonly instanceId: string;
}

/** Where an operation was taken: by the owner's stream to the agent. Times are the owner's clock, Unix ms. */
export interface Dispatch extends Target {
  readonly processedTime: number;
  readonly sentTime: number;
}

/** An operation that this instance waits for: it was asked, or it took over from an instance that died. */
export interface Originated {
  readonly id: string;
  readonly account: string;
  readonly type: string;
  /** As it is sent, but for the time that is left. */
  readonly bytes: Uint8Array;
  /** Identifies what is asked, whatever the id and time-out. */
  readonly digest: string;
  /** Whether it is in kubesvc_ops. */
  readonly durable: boolean;
  /** The instance that was asked. */
  readonly receivedByInstanceId: string;
  /** Unix ms, as it is recorded. */
  readonly receivedTime: number;
  /** The same moment by performance.now(): somebody may set the wall clock while the operation is under way. */
  readonly receivedAt: number;
  /** How long it may take in all, in ms. */
  readonly timeoutMs: number;
  /** By performance.now(). */
  readonly deadline: number;
  /**
   * The one process of an agent that may have it: another would do it twice. Durable operations are bound in kubesvc_ops before they
   * are sent, so that whoever goes on with them knows it; reading ones are never bound.
   */
  binding: Binding | undefined;
  /** Set once an owner has taken it; the newest, when it had to be sent again. */
  taken: Dispatch | undefined;
  /** Its route is being (re)done; recovery leaves it alone meanwhile. */
  routing: boolean;
}

/** The present moment as the operation's record tells it, Unix ms: never before what was told earlier, however clocks are set. */
export function timeOf({ receivedTime, receivedAt }: Pick<Originated, 'receivedTime' | 'receivedAt'>): number {
  return Math.floor(receivedTime + performance.now() - receivedAt);
}

/** How an operation ended. */
export interface Ending {
  readonly outcome: FinalOutcome;
  readonly endTime: number;
  /** Why it did not complete, or what the agent said. */
  readonly message: string;
  readonly answer?: AgentResult;
}

/** What is recorded of an operation that has ended; `instanceId` is the instance that waited for it. */
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
  };
}

/** What a caller is told of an operation that has ended, and not with the result that he waited for. */
export function endedWithout(outcome: FinalOutcome, { id, account }: Pick<Originated, 'id' | 'account'>): GatewayError {
  const code = outcome === 'agent lost' ? 'agent-lost' : outcome === 'cancelled' ? 'cancelled' : 'timed-out';
  return new GatewayError(code, `operation ${id} has ended: ${outcome}`, { operationId: id, account });
}

/** An agent that was restarted does not know whether its predecessor did it (proto/ops/operations.proto). */
const restarted = 'AgentRestarted';

/** 2xx is success (ops.OperationResult.status). */
export function outcomeOf({ status, reason }: Pick<ResultHeader, 'status' | 'reason'>): FinalOutcome {
  if (reason === restarted) return 'agent lost';
  return status >= 200 && status < 300 ? 'completed' : 'failed';
}
