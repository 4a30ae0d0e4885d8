/**
 * The one error class of the project. Inside, code branches on `code`; at each edge one table maps the code to
 * what the wire speaks (gRPC status: gateway/grpc/status.ts, RFC 9457 problem: gateway/rest/problem.ts).
 */

/** Kinds of failures, as a closed set. The comments say what happened. */
export const errorCodes = [
  /** The caller sent something malformed; `field` names it. */
  'invalid-argument',
  /** No agent ever registered the account; or, in a request for several, some are served by no connected agent. */
  'unknown-account',
  /** The account cannot be changed like that: it is an agent's own, or is being deleted. */
  'account-conflict',
  'unknown-agent',
  'unknown-instance',
  'unknown-operation',
  /** The operation has ended already; its outcome is recorded. */
  'operation-ended',
  /** The operation id was used before, for a different operation. */
  'operation-conflict',
  /** Only what is gone can be forgotten, and the agent is connected, or the instance alive. */
  'not-gone',
  /** This instance does not hold a stream for the account; the sender must re-read the truth. */
  'not-owner',
  /** The account is known, but no agent that serves it is connected. */
  'no-agent',
  /** The owning instance could not be reached; it may or may not have acted. */
  'owner-unreachable',
  /** A limit was reached: a queue, a number of connections, a rate. */
  'overloaded',
  /** This instance is shutting down. */
  'draining',
  /** The operation was sent, and its agent went away before it answered. */
  'agent-lost',
  'timed-out',
  'cancelled',
  'too-large',
  /** A newer connection of the same agent took over. */
  'replaced',
  /** SQL, Redis or Kubernetes does not answer; `field` names the setting that leads to it. */
  'dependency-unavailable',
  /** The configuration is wrong; `field` names the key. */
  'configuration',
  /** No credentials, or invalid ones. */
  'unauthenticated',
  /** The client is known and may not do this. */
  'permission-denied',
  'not-implemented',
  'internal',
] as const;
export type ErrorCode = (typeof errorCodes)[number];

export interface ErrorDetails {
  /** The underlying error; for logs only, never sent to a caller. */
  readonly cause?: unknown;
  /** The dependency was not reached at all, so the request cannot have had any effect. */
  readonly unsent?: boolean;
  /** The field, header, option or setting at fault, in the spelling that its user knows. */
  readonly field?: string;
  /** How long to wait before trying again, in ms; set for overloaded, draining, no-agent. */
  readonly retryAfterMs?: number;
  readonly account?: string;
  /** If several accounts are concerned. */
  readonly accounts?: readonly string[];
  readonly operationId?: string;
  readonly agentId?: string;
  /** The instance concerned, if it is not this one. */
  readonly instanceId?: string;
}

/** A failure whose `message` may be shown to a caller: it is ours, or comes from another server. */
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

/** The same failure, of a request of which nothing has left: it may be sent again. */
export function asUnsent(thrown: unknown): GatewayError {
  const { code, message, details } = toGatewayError(thrown);
  return new GatewayError(code, message, { ...details, unsent: true });
}

/**
 * Turns anything thrown into a GatewayError; anything that is not one becomes `internal`, with its text kept as the
 * cause.
 */
export function toGatewayError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  // The reasons that AbortSignal.timeout() and abort() give.
  const name = thrown instanceof Error ? thrown.name : '';
  if (name === 'TimeoutError') return new GatewayError('timed-out', 'no answer in time', { cause: thrown });
  if (name === 'AbortError') return new GatewayError('cancelled', 'cancelled', { cause: thrown });
  return new GatewayError('internal', 'unexpected error; see the log of this instance', { cause: thrown });
}

/**
 * The text of anything thrown, for logs and operators: includes the cause of an `internal` error, which callers are not
 * told.
 */
export function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const hidden = thrown instanceof GatewayError && thrown.code === 'internal' ? thrown.cause : undefined;
  return hidden === undefined ? thrown.message : `${thrown.message}: ${messageOf(hidden)}`;
}
