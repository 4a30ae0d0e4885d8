/**
 * Traces of operations (OpenTelemetry), off by default: nothing of the SDK is loaded then. Context comes in and goes on as
 * W3C Trace Context (https://www.w3.org/TR/trace-context/), between instances and to agents inside the operation
 * (ops.TraceContext), because many operations share one request.
 */

import type { Attributes } from '@opentelemetry/api';

export interface TraceHeaders {
  /** '' for none. */
  readonly traceparent: string;
  readonly tracestate: string;
}

/** Server: answers somebody; client: waits for somebody else. */
export type SpanKind = 'server' | 'client';

export interface SpanOptions {
  readonly kind: SpanKind;
  /** What it is a part of; without one a trace begins, if `samplePercent` wants it. */
  readonly parent: TraceHeaders;
  /** Unix ms; default: now. */
  readonly startTime?: number;
}

export interface Span {
  /** For what comes after it. */
  readonly context: TraceHeaders;
  /**
   * @param error why it failed, where it did
   * @param endTime Unix ms; default: so long after its start as it took, but of one with a `startTime` by the wall clock
   */
  end(attributes: Attributes, error?: string, endTime?: number): void;
}

export interface Tracing {
  readonly enabled: boolean;
  /** Undefined when tracing is off. */
  start(name: string, options: SpanOptions): Span | undefined;
  /** Sends what is not sent yet. */
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
/** Spans that wait to be sent at most; what comes on top is dropped. */
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
