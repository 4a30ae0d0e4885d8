/** The one table from our error codes to gRPC status (https://grpc.github.io/grpc/core/md_doc_statuscodes.html). */

import { Metadata, status } from '@grpc/grpc-js';
import type { ErrorCode, GatewayError } from '../../core/errors.js';

const table: Readonly<Record<ErrorCode, status>> = {
  'invalid-argument': status.INVALID_ARGUMENT,
  'unknown-account': status.NOT_FOUND,
  'account-conflict': status.FAILED_PRECONDITION,
  'unknown-agent': status.NOT_FOUND,
  'unknown-instance': status.NOT_FOUND,
  'unknown-operation': status.NOT_FOUND,
  'operation-ended': status.ALREADY_EXISTS,
  'operation-conflict': status.ALREADY_EXISTS,
  'not-gone': status.FAILED_PRECONDITION,
  'not-owner': status.FAILED_PRECONDITION,
  'no-agent': status.UNAVAILABLE,
  'owner-unreachable': status.UNAVAILABLE,
  overloaded: status.RESOURCE_EXHAUSTED,
  draining: status.UNAVAILABLE,
  'agent-lost': status.UNAVAILABLE,
  'timed-out': status.DEADLINE_EXCEEDED,
  cancelled: status.CANCELLED,
  'too-large': status.RESOURCE_EXHAUSTED,
  replaced: status.ABORTED,
  'dependency-unavailable': status.UNAVAILABLE,
  configuration: status.FAILED_PRECONDITION,
  unauthenticated: status.UNAUTHENTICATED,
  'permission-denied': status.PERMISSION_DENIED,
  'not-implemented': status.UNIMPLEMENTED,
  internal: status.INTERNAL,
};

/**
 * The status that ends a stream with an error. `overloaded` carries the time to wait, in ms, in the way of gRPC's
 * retries (https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback).
 */
export function toStatus(error: GatewayError): {
  readonly code: status;
  readonly details: string;
  readonly metadata?: Metadata;
} {
  const end = { code: table[error.code], details: error.message };
  const { retryAfterMs } = error.details;
  if (error.code !== 'overloaded' || retryAfterMs === undefined) return end;
  const metadata = new Metadata();
  metadata.set('grpc-retry-pushback-ms', String(Math.ceil(retryAfterMs)));
  return { ...end, metadata };
}
