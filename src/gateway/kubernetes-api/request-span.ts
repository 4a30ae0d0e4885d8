/**
 * The spans of a request of the Kubernetes API: `kubernetes-api` at the instance that received it, `forward` there while
 * the owner answers it, `agent` at the owner while the agent does.
 */

import type { GatewayError } from '../../core/errors.js';
import type { TraceHeaders, Tracing } from '../telemetry/tracing.js';

export interface RequestSpanOptions {
  readonly name: 'kubernetes-api' | 'forward' | 'agent';
  /** Of the span around it, or of the headers that came. */
  readonly parent: TraceHeaders;
  readonly account: string;
  /** Of `kubernetes-api`: what is asked for. */
  readonly verb?: string;
  readonly resource?: string;
  /** Of `forward`: the instance that the request goes to. */
  readonly peer?: string;
  /** Of `agent`. */
  readonly agentId?: string;
}

export interface RequestSpan {
  /** For the spans inside it and for the next hop. */
  readonly context: TraceHeaders;
  /** @param status of the answer; undefined: none came @param failure a caller that went is none */
  end(status: number | undefined, failure?: GatewayError): void;
}

/** When tracing is off, the span does nothing and its context is the parent's. */
export function startRequestSpan(tracing: Tracing, options: RequestSpanOptions): RequestSpan {
  const { name, parent, account, verb, resource, peer, agentId } = options;
  const span = tracing.start(name, { kind: name === 'kubernetes-api' ? 'server' : 'client', parent });
  if (span === undefined) return { context: parent, end: nothing };
  return {
    context: span.context,
    end: (status, failure) => {
      const attributes = {
        'agent_gateway.account': account,
        ...(verb === undefined ? {} : { 'agent_gateway.verb': verb }),
        ...(resource === undefined ? {} : { 'agent_gateway.resource': resource }),
        ...(peer === undefined ? {} : { 'agent_gateway.peer': peer }),
        ...(agentId === undefined ? {} : { 'agent_gateway.agent.id': agentId }),
        ...(status === undefined ? {} : { 'http.response.status_code': status }),
      };
      span.end(attributes, errorOf(status, failure));
    },
  };
}

function nothing(): void {
  // Tracing is off.
}

function errorOf(status: number | undefined, failure: GatewayError | undefined): string | undefined {
  if (failure !== undefined) return failure.code === 'cancelled' ? undefined : failure.message;
  return status !== undefined && status >= 500 ? `status ${String(status)}` : undefined;
}
