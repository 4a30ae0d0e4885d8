/**
 * The one table from errors during an operation to the answer for its caller. Kubernetes' own refusals and
 * our typed errors are shown; for any other error the caller gets only the operation's id, to find it in the log.
 */

import { connectionFailure } from '../../core/connection-failure.js';
import { GatewayError } from '../../core/errors.js';
import { ApiError } from '../../kubernetes/client.js';
import { failures, type Execution } from '../operation-results.js';

/** Logs an unexpected error. @param thrown for the log only */
export type LogUnexpected = (thrown: unknown) => void;

/** Kubernetes' own status, reason and message, if it answered. */
export function failureOf(thrown: unknown, operationId: string, log: LogUnexpected): Execution {
  if (thrown instanceof ApiError) {
    return { status: thrown.status, reason: thrown.reason, message: thrown.detail || thrown.message };
  }
  if (thrown instanceof GatewayError && thrown.code === 'too-large') {
    const message = `${thrown.message}; ask for less (limit, selector, tail_lines)`;
    return { status: 413, reason: 'RequestEntityTooLarge', message };
  }
  if (thrown instanceof GatewayError && thrown.code === 'configuration')
    return unasked(500, 'InvalidCredentials', thrown.message);
  const reason = connectionFailure(thrown)?.reason ?? (thrown instanceof GatewayError ? thrown.message : undefined);
  if (reason !== undefined) return unasked(503, 'ServiceUnavailable', reason);
  log(thrown);
  return failures.internal(operationId);
}

function unasked(status: number, reason: string, why: string): Execution {
  return { status, reason, message: `the request to the cluster's API server failed: ${why}` };
}
