/**
 * The one error class of the project. Inside, code branches on `code`; at each edge one table maps the code to
 * what the wire speaks (gRPC status: gateway/grpc/status.ts, RFC 9457 problem: gateway/rest/problem.ts).
 */

/** What went wrong, as a closed set. The comment says who can act on it. */
export type ErrorCode =
  /** The caller sent something malformed; `field` names it. */
  | 'invalid-argument'
  /** Nobody ever registered the account, or where several were asked for: no connected agent serves some of them. */
  | 'unknown-account'
  /** The account is not one that can be changed like that: it is an agent's own, or is being deleted. */
  | 'account-conflict'
  | 'unknown-agent'
  | 'unknown-instance'
  | 'unknown-operation'
  /** The operation has ended already; its outcome is recorded. */
  | 'operation-ended'
  /** The operation id was used before, for something else. */
  | 'operation-conflict'
  /** This instance does not hold a stream for the account; the sender must re-read the truth. */
  | 'not-owner'
  /** The account is known, but no agent that serves it is connected. */
  | 'no-agent'
  /** The owning instance could not be reached; nothing is known of what it did. */
  | 'owner-unreachable'
  /** A bound was reached: a queue, a number of connections, a rate. */
  | 'overloaded'
  /** This instance is shutting down. */
  | 'draining'
  /** The operation was sent, and its agent went away before it answered. */
  | 'agent-lost'
  | 'timed-out'
  | 'cancelled'
  | 'too-large'
  /** A newer connection of the same agent took over. */
  | 'replaced'
  /** SQL, Redis or Kubernetes does not answer; `field` names the setting that leads to it. */
  | 'dependency-unavailable'
  /** The configuration is wrong; `field` names the key. */
  | 'configuration'
  /** No proof of identity, or one that does not hold. */
  | 'unauthenticated'
  /** The identity is known and may not do this. */
  | 'permission-denied'
  | 'not-implemented'
  | 'internal';

export interface ErrorDetails {
  /** What lies behind it; for logs only, never sent to a caller. */
  readonly cause?: unknown;
  /** The dependency was not reached at all, so that nothing of what was asked can have been done. */
  readonly unsent?: boolean;
  /** The field, header, option or setting that is meant, in the spelling its user knows. */
  readonly field?: string;
  /** How long to wait before trying again, in ms; set for overloaded, draining, no-agent. */
  readonly retryAfterMs?: number;
  readonly account?: string;
  /** Where more than one is meant. */
  readonly accounts?: readonly string[];
  readonly operationId?: string;
  readonly agentId?: string;
  /** The instance that is meant, where it is not this one. */
  readonly instanceId?: string;
}

/** A failure whose `message` is ours, or another server's, and may be shown to a caller. */
export class TellableError extends Error {}

/** An expected failure: `message` is safe to show to a caller and says what to do. */
export class GatewayError extends TellableError {
  override readonly name = 'GatewayError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.details = details;
  }
}

/** Makes a GatewayError of anything thrown; what is not one already becomes `internal`, its text kept as cause. */
export function toGatewayError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  // What AbortSignal.timeout() and abort() give as their reason.
  const name = thrown instanceof Error ? thrown.name : '';
  if (name === 'TimeoutError') return new GatewayError('timed-out', 'no answer in time', { cause: thrown });
  if (name === 'AbortError') return new GatewayError('cancelled', 'cancelled', { cause: thrown });
  return new GatewayError('internal', 'unexpected error; see the log of this instance', { cause: thrown });
}

/** The text of anything thrown, for logs and for whoever runs the process: with what a caller of `internal` is not told. */
export function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const hidden = thrown instanceof GatewayError && thrown.code === 'internal' ? thrown.cause : undefined;
  return hidden === undefined ? thrown.message : `${thrown.message}: ${messageOf(hidden)}`;
}
