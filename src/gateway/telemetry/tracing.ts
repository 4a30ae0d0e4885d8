/**
 * Traces of operations (OpenTelemetry), off by default: then the SDK is not even loaded. Context is received and passed
 * on as W3C Trace Context (https://www.w3.org/TR/trace-context/), between instances and to agents inside the operation
 * (ops.TraceContext), because many operations share one request.
 */

import type { Attributes } from '@opentelemetry/api';

export interface TraceHeaders {
  /** '' for none. */
  readonly traceparent: string;
  readonly tracestate: string;
}

/** Server: answers a call; client: waits for the answer to one. */
export type SpanKind = 'server' | 'client';

export interface SpanOptions {
  readonly kind: SpanKind;
  /** The parent; without one a new trace begins, if it is sampled (`samplePercent`). */
  readonly parent: TraceHeaders;
  /** Unix ms; default: now. */
  readonly startTime?: number;
}

export interface Span {
  /** The context for later spans. */
  readonly context: TraceHeaders;
  /**
   * @param error why it failed, if it did
   * @param endTime Unix ms; default: so long after its start as it took, but of one with a `startTime` by the wall
   *   clock
   */
  end(attributes: Attributes, error?: string, endTime?: number): void;
}

export interface Tracing {
  readonly enabled: boolean;
  /** Undefined when tracing is off. */
  start(name: string, options: SpanOptions): Span | undefined;
  /** Sends spans that are not sent yet. */
  stop(): Promise<void>;
}

export const noTracing: Tracing = {
  enabled: false,
  start: () => undefined,
  stop: () => Promise.resolve(),
};

/** As the section `tracing` of the configuration has it, and who is traced. */
export interface TracingOptions {
  readonly enabled: boolean;
  readonly endpoint: string;
  readonly samplePercent: number;
  readonly instanceId: string;
  readonly version: string;
}

const exportTimeoutMs = 5_000;
/** The most spans that wait to be sent; further ones are dropped. */
const maxQueueSize = 2_048;

export async function createTracing(options: TracingOptions): Promise<Tracing> {
  const { enabled, endpoint, samplePercent, instanceId, version } = options;
  if (!enabled) return noTracing;
  const [api, { parseTraceParent, TraceState }, sdk, { OTLPTraceExporter }, { resourceFromAttributes }] =
    await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/core'),
      import('@opentelemetry/sdk-trace-base'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
    ]);
  const exporter = new OTLPTraceExporter({ url: endpoint, timeoutMillis: exportTimeoutMs });
  const provider = new sdk.BasicTracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'agent-gateway',
      'service.version': version,
      'service.instance.id': instanceId,
    }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(samplePercent / 100) }),
    spanProcessors: [new sdk.BatchSpanProcessor(exporter, { maxQueueSize, exportTimeoutMillis: exportTimeoutMs })],
  });
  const tracer = provider.getTracer('agent-gateway', version);
  const kinds = { server: api.SpanKind.SERVER, client: api.SpanKind.CLIENT };

  return {
    enabled,
    start: (name, { kind, parent, startTime }) => {
      const remote = parseTraceParent(parent.traceparent);
      const above =
        remote === null
          ? api.ROOT_CONTEXT
          : api.trace.setSpanContext(api.ROOT_CONTEXT, {
              ...remote,
              isRemote: true,
              traceState: new TraceState(parent.tracestate),
            });
      const span = tracer.startSpan(
        name,
        { kind: kinds[kind], ...(startTime === undefined ? {} : { startTime }) },
        above,
      );
      const { traceId, spanId, traceFlags, traceState } = span.spanContext();
      return {
        context: {
          traceparent: `00-${traceId}-${spanId}-0${Number(traceFlags).toString(16)}`,
          tracestate: traceState?.serialize() ?? '',
        },
        end: (attributes, error, endTime) => {
          span.setAttributes(attributes);
          if (error !== undefined) span.setStatus({ code: api.SpanStatusCode.ERROR, message: error });
          span.end(endTime);
        },
      };
    },
    stop: () => provider.shutdown(),
  };
}
