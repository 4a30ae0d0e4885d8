/**
 * The one table from our error codes to what the API server would answer. Clients of Kubernetes send a request again,
 * a POST too, when it was answered 429 or 5xx with `Retry-After` (client-go, rest/with_retry.go): so that header says that
 * nothing was done, or that the request changes nothing.
 */

import type { ErrorCode, GatewayError } from '../../core/errors.js';
import { reasonOf, statusObject, type StatusDetails } from '../../kubernetes/status.js';
import type { HeaderList } from '../../tunnel/exchange.js';

export interface StatusAnswer {
  readonly status: number;
  readonly headers: HeaderList;
  /** JSON. */
  readonly body: string;
}

interface Row {
  readonly status: number;
  /** When to try again, at the earliest, in s. */
  readonly retryAfter?: number;
  /**
   * Whether the request may have reached the API server nonetheless, unless the error says that it has not: a change is
   * then answered 504, as by an API server that does not know whether it was made.
   */
  readonly mayHaveBeenSent?: boolean;
}

/** kubectl bridges 40 s with it, and with one second only ten. */
const unavailable: Row = { status: 503, retryAfter: 5 };

const table: Readonly<Record<ErrorCode, Row>> = {
  'invalid-argument': { status: 400 },
  'unknown-account': { status: 404 },
  'account-conflict': { status: 409 },
  'unknown-agent': { status: 404 },
  'unknown-instance': { status: 404 },
  'unknown-operation': { status: 404 },
  'operation-ended': { status: 409 },
  'operation-conflict': { status: 409 },
  'not-gone': { status: 409 },
  // Between replicas only.
  'not-owner': { status: 421 },
  'no-agent': unavailable,
  'owner-unreachable': { ...unavailable, mayHaveBeenSent: true },
  overloaded: { status: 429, retryAfter: 1 },
  draining: { ...unavailable, mayHaveBeenSent: true },
  'agent-lost': { ...unavailable, mayHaveBeenSent: true },
  'timed-out': { ...unavailable, mayHaveBeenSent: true },
  cancelled: { ...unavailable, mayHaveBeenSent: true },
  'too-large': { status: 413 },
  replaced: { ...unavailable, mayHaveBeenSent: true },
  'dependency-unavailable': unavailable,
  configuration: { status: 500 },
  unauthenticated: { status: 401 },
  'permission-denied': { status: 403 },
  'not-implemented': { status: 501 },
  internal: { status: 500 },
};

/** @param method of the request that is answered */
export function statusAnswer(error: GatewayError, method: string): StatusAnswer {
  const { status, retryAfter }: Row = mayHaveChanged(error, method) ? { status: 504 } : table[error.code];
  const retryAfterSeconds =
    retryAfter === undefined ? undefined : Math.max(retryAfter, Math.ceil((error.details.retryAfterMs ?? 0) / 1_000));
  const details = detailsOf(error, retryAfterSeconds);
  const body = statusObject({
    code: status,
    reason: reasonOf(status),
    message: error.message,
    ...(details === undefined ? {} : { details }),
  });
  const headers = ['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))];
  headers.push('Cache-Control', 'no-cache, private');
  if (retryAfterSeconds !== undefined) headers.push('Retry-After', String(retryAfterSeconds));
  if (status === 401) headers.push('WWW-Authenticate', 'Bearer');
  return { status, headers, body };
}

function mayHaveChanged({ code, details }: GatewayError, method: string): boolean {
  return table[code].mayHaveBeenSent === true && details.unsent !== true && method !== 'GET' && method !== 'HEAD';
}

function detailsOf({ code, details }: GatewayError, retryAfterSeconds: number | undefined): StatusDetails | undefined {
  if (code === 'unknown-account') return { name: details.account ?? '', kind: 'account' };
  return retryAfterSeconds === undefined ? undefined : { retryAfterSeconds };
}
