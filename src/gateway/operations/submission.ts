/** An operation as a caller submitted it, and the checks that may refuse it before anything is done. */

import { GatewayError } from '../../core/errors.js';
import type { RecordedRequest } from '../../store/operations/operation-record.js';

export interface Submission extends RecordedRequest {
  /** '' lets the gateway choose it. */
  readonly id: string;
  readonly account: string;
  readonly type: string;
  /** In ms; 0: the default. */
  readonly timeoutMs: number;
  /** Identifies the request, regardless of id and time-out. */
  readonly digest: string;
  /** Encodes the operation with the fields that the gateway adds. */
  readonly encode: (id: string, receivedTime: number) => Uint8Array;
}

const ulidPattern = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/u;

/** @throws GatewayError `invalid-argument` naming the field */
export function validateSubmission({ id, account, type }: Submission): void {
  if (id !== '' && !ulidPattern.test(id)) {
    throw new GatewayError(
      'invalid-argument',
      `operation.id: expected a ULID (26 characters of Crockford base 32), got "${id.slice(0, 64)}"`,
      { field: 'operation.id' },
    );
  }
  // No account name contains control characters, and databases fail on NUL.
  if (account === '' || /\p{Cc}/u.test(account)) {
    throw new GatewayError('invalid-argument', 'operation.account: expected the name of an account', {
      field: 'operation.account',
    });
  }
  if (type === '') {
    throw new GatewayError(
      'invalid-argument',
      'operation: expected one request (deploy, delete, get, list, patch, scale, restart, pause, resume, undo, run_job, logs, access_review)',
      { field: 'operation' },
    );
  }
}

export function idConflict(id: string): GatewayError {
  return new GatewayError('operation-conflict', `operation id ${id} was already used for a different operation`, {
    operationId: id,
  });
}
