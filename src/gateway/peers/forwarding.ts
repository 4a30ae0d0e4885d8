/** What forwarder (client) and rest (server) agree on between instances. */

import { GatewayError, type ErrorCode } from '../../core/errors.js';

export const operationPath = '/armory/agent/operations';
export const operationResultPath = '/armory/agent/operationresults';

/** An instance ends a connection to another one that it has not used for so long, in ms. */
export const peerIdleMs = 30_000;

/** The body is a sequence of protobuf messages, each behind its length; the answer a JSON array, one item for each. */
export const protobufMediaType = 'application/x-protobuf';

/**
 * Names the instance that forwards. Whoever gets it delivers or answers "not owner", or answers for itself alone; it
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

/** Why one message of a sequence was not taken. */
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

/** @throws GatewayError what the other instance refused it with */
export function answerOf<Answer extends object>(outcome: ForwardingOutcome<Answer>, instanceId: string): Answer {
  if (!('refused' in outcome)) return outcome;
  const { code, detail, retryAfterMs } = outcome.refused;
  throw new GatewayError(code, detail, { instanceId, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}
