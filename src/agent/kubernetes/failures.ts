/**
 * The one table from what is thrown while an operation executes to what its caller is told. Kubernetes' own refusals and
 * our typed errors are shown; of anything else the caller gets the operation's id, under which the log has the rest.
 */

import { connectionFailure } from '../../core/connection-failure.js';
import { GatewayError } from '../../core/errors.js';
import { ApiError } from '../../kubernetes/client.js';
import { failures, type Execution } from '../operation-results.js';

/** Where what nobody expected is written. @param thrown for the log alone */
export type LogUnexpected = (thrown: unknown) => void;

/** Kubernetes' own status, reason and message, where it answered. */
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
