/** What forwarder (client) and rest (server) agree on between instances. */

export const operationPath = '/armory/agent/operations';
export const operationResultPath = '/armory/agent/operationresults';

/** The body is the protobuf message itself. */
export const protobufMediaType = 'application/x-protobuf';

/** Names the instance that forwards. Whoever gets it delivers or answers "not owner"; it never forwards again. */
export const forwardedByHeader = 'x-agent-gateway-forwarded-by';

/** Names the one agent that may have the operation: it was sent to it before, and another would do it twice. */
export const onlyAgentHeader = 'x-agent-gateway-only-agent';

/** The owner's answer to a forwarded operation. A Clouddriver's answer has none of these. */
export interface ForwardAnswer {
  readonly agentId?: string;
  readonly epoch?: number;
  readonly processedTime?: number;
  readonly sentTime?: number;
}
