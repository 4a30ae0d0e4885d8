/** The protocol between instances: shared by forwarder (client) and rest (server). */

import { GatewayError, type ErrorCode } from '../../core/errors.js';

export const operationPath = '/armory/agent/operations';
export const operationResultPath = '/armory/agent/operationresults';

/** Before the account, percent-encoded, and the path for its API server. */
export const kubernetesApiPrefix = '/kubernetes/accounts/';

/** Time without use after which an instance closes its connection to another one, in ms. */
export const peerIdleMs = 30_000;

/** Of a pool of undici: the other instance says in `Keep-Alive` how long it would keep the connection, which is longer. */
export const peerKeepAlive = { keepAliveTimeout: peerIdleMs, keepAliveMaxTimeout: peerIdleMs };

/** The body is a sequence of protobuf messages, each behind its length; the answer a JSON array, one item for each. */
export const protobufMediaType = 'application/x-protobuf';

/**
 * Names the instance that forwards. The receiver delivers or answers "not owner", or answers for itself alone; it
 * never forwards again.
 */
export const forwardedByHeader = 'x-agent-gateway-forwarded-by';

/** The owner's answer to a forwarded operation. A Clouddriver's answer has none of these. */
export interface ForwardAnswer {
  readonly agentId?: string;
  readonly epoch?: number;
  readonly processId?: string;
  readonly processedTime?: number;
  readonly sentTime?: number;
}

/** Why one message of a sequence was refused. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly retryAfterMs?: number;
}

export type ForwardingOutcome<Answer> = Answer | { readonly refused: Refusal };

export function refusalOf({ code, message, details }: GatewayError): { readonly refused: Refusal } {
  const { retryAfterMs } = details;
  return { refused: { code, detail: message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) } };
}

/** @throws GatewayError the refusal of the other instance */
export function answerOf<Answer extends object>(outcome: ForwardingOutcome<Answer>, instanceId: string): Answer {
  if (!('refused' in outcome)) return outcome;
  const { code, detail, retryAfterMs } = outcome.refused;
  throw new GatewayError(code, detail, { instanceId, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}
