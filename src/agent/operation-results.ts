/** Outcomes of executed operations, and the answers that an agent gives without executing one. */

import { create, fromBinary } from '@bufbuild/protobuf';
import {
  AgentMessageSchema,
  ObjectsSchema,
  OperationResultSchema,
  type Operation,
  type OperationResult,
} from '../protocol/generated/ops/operations_pb.js';
import { encodeAgentMessage } from './gateway-stream.js';

/** The answer of `execute`: the runner fills in the rest of the OperationResult. */
export interface Execution {
  /** HTTP status; 2xx is success. */
  readonly status: number;
  /** One sentence for the caller. */
  readonly message?: string;
  /** Kubernetes' reason for a failure ("NotFound"); empty on success. */
  readonly reason?: string;
  readonly body?: OperationResult['body'];
}

/** Failures that the agent itself reports, with Kubernetes' names if there is one. */
export const failures = {
  timeout: (ms: number): Execution => ({
    status: 504,
    reason: 'Timeout',
    message: `the operation did not finish within ${ms} ms; it may have taken effect`,
  }),
  expiredInQueue: (ms: number): Execution => ({
    status: 504,
    reason: 'Timeout',
    message: `the operation waited for ${ms} ms in the agent's queue and was not started`,
  }),
  tooLarge: (bytes: number, maximumBytes: number): Execution => ({
    status: 413,
    reason: 'RequestEntityTooLarge',
    message: `the result has ${bytes} bytes, the gateway accepts ${maximumBytes}; ask for less (limit, selector, tail_lines)`,
  }),
  tooMany: (message: string): Execution => ({
    status: 429,
    reason: 'TooManyRequests',
    message,
  }),
  stopping: (): Execution => ({
    status: 503,
    reason: 'ServiceUnavailable',
    message: 'the agent is stopping; the operation was not started',
  }),
  interrupted: (): Execution => ({
    status: 503,
    reason: 'ServiceUnavailable',
    message: 'the agent stopped before the operation finished; it may have taken effect',
  }),
  withoutId: (): Execution => ({
    status: 400,
    reason: 'BadRequest',
    message: 'the operation has no id',
  }),
  executedBefore: (): Execution => ({
    status: 409,
    reason: 'AlreadyExecuted',
    message: 'this operation was already executed; its result was acknowledged and is no longer kept',
  }),
  restarted: (): Execution => ({
    status: 410,
    reason: 'AgentRestarted',
    message: 'the operation was sent to another process of this agent; it may have been executed',
  }),
  internal: (operationId: string): Execution => ({
    status: 500,
    reason: 'InternalError',
    message: `internal error of the agent; see its log for operation ${operationId}`,
  }),
} as const;

/** Requests that only read: their results may be requested again, in smaller parts. */
const readings: ReadonlySet<Operation['request']['case']> = new Set(['get', 'list', 'logs', 'accessReview']);

export function isReading({ request }: Operation): boolean {
  return readings.has(request.case);
}

/**
 * Shortens the too large answer of an operation that has changed the cluster: a completed change must be reported as
 * completed.
 * @param answer an encoded AgentMessage. @returns it without its objects, then without their outcomes, until it fits
 */
export function withoutObjects(answer: Uint8Array, maximumBytes: number): Uint8Array {
  const { message } = fromBinary(AgentMessageSchema, answer);
  if (message.case !== 'result' || message.value.body.case !== 'objects') return answer;
  const result = message.value;
  const { outcomes } = message.value.body.value;
  const note = `the objects are left out: the result would have ${answer.byteLength} bytes, the gateway accepts ${maximumBytes}`;
  result.message = result.message === '' ? note : `${result.message}; ${note}`;
  result.body = { case: 'objects', value: create(ObjectsSchema, { outcomes }) };
  const told = encodeAgentMessage({ case: 'result', value: result });
  if (told.byteLength <= maximumBytes) return told;
  result.body = { case: undefined };
  return encodeAgentMessage({ case: 'result', value: result });
}

/** The encoded AgentMessage that answers `operation`. */
export function encodeResult(
  operation: Pick<Operation, 'id' | 'account'>,
  execution: Execution,
  durationMs: number,
): Uint8Array {
  const value = create(OperationResultSchema, {
    operationId: operation.id,
    account: operation.account,
    status: execution.status,
    message: execution.message ?? '',
    reason: execution.reason ?? '',
    durationMs: Math.max(0, Math.round(durationMs)),
    ...(execution.body === undefined ? {} : { body: execution.body }),
  });
  return encodeAgentMessage({ case: 'result', value });
}
