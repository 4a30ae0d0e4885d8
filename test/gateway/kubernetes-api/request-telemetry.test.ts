/** Metrics and spans of requests of the Kubernetes API. */

import { Registry } from 'prom-client';
import { test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { startRequestSpan } from '../../../src/gateway/kubernetes-api/request-span.js';
import {
  apiRequestMetrics,
  apiRequestVerb,
  refusalOutcome,
  statusOutcome,
} from '../../../src/gateway/telemetry/api-request-metrics.js';
import { noTracing, type SpanOptions, type Tracing } from '../../../src/gateway/telemetry/tracing.js';

test('requests are counted by verb, path and outcome, and are open in between', async (t) => {
  const registry = new Registry();
  const { apiRequests } = apiRequestMetrics([registry]);
  const lines = async () => (await registry.metrics()).split('\n').filter((line) => /^[^#].* [^0]\S*$/u.test(line));
  for (const verb of ['get', 'watch', 'upgrade', 'upgrade'] as const) apiRequests.started(verb);
  t.same(await lines(), [
    'agent_gateway_kubernetes_requests_open{kind="request"} 1',
    'agent_gateway_kubernetes_requests_open{kind="watch"} 1',
    'agent_gateway_kubernetes_requests_open{kind="upgrade"} 2',
  ]);

  const end = { path: 'local', outcome: '2xx', requestBytes: 0, responseBytes: 100, addedSeconds: 0.0002 } as const;
  apiRequests.finished({ ...end, verb: 'get' });
  apiRequests.finished({ ...end, verb: 'watch', path: 'forwarded', outcome: 'broken', addedSeconds: 0.1 });
  apiRequests.finished({ ...end, verb: 'upgrade', outcome: '1xx', requestBytes: 7 });
  apiRequests.finished({ verb: 'upgrade', path: 'none', outcome: 'refused', requestBytes: 0, responseBytes: 0 });
  const text = await lines();
  for (const line of [
    'agent_gateway_kubernetes_requests_total{verb="get",path="local",outcome="2xx"} 1',
    'agent_gateway_kubernetes_requests_total{verb="watch",path="forwarded",outcome="broken"} 1',
    'agent_gateway_kubernetes_requests_total{verb="upgrade",path="none",outcome="refused"} 1',
    'agent_gateway_kubernetes_bytes_total{direction="request"} 7',
    'agent_gateway_kubernetes_bytes_total{direction="response"} 300',
    'agent_gateway_kubernetes_added_seconds_bucket{le="0.00025",path="local"} 2',
    'agent_gateway_kubernetes_added_seconds_count{path="forwarded"} 1',
  ])
    t.ok(text.includes(line), line);
  t.notOk(
    text.some((line) => line.includes('requests_open')),
    'none is open any more',
  );
});

test('labels have few values, whatever the caller writes', (t) => {
  t.equal(apiRequestVerb('deletecollection', ''), 'deletecollection');
  t.equal(apiRequestVerb('get', 'websocket'), 'upgrade');
  t.equal(apiRequestVerb('PROPFIND', ''), 'other');
  t.same([101, 200, 304, 404, 503].map(statusOutcome), ['1xx', '2xx', '3xx', '4xx', '5xx']);
  t.same([403, 503].map(refusalOutcome), ['refused', 'unavailable']);
  t.end();
});

test('a span is a child of the one around it, and says how the request ended', (t) => {
  const begun: (SpanOptions & { readonly name: string })[] = [];
  const ended: unknown[][] = [];
  const tracing: Tracing = {
    ...noTracing,
    enabled: true,
    start: (name, options) => {
      begun.push({ name, ...options });
      return {
        context: { traceparent: `inside ${name}`, tracestate: '' },
        end: (attributes, error) => void ended.push([attributes, error]),
      };
    },
  };
  const caller = { traceparent: 'of the caller', tracestate: 'a=b' };
  const whole = { name: 'kubernetes-api', parent: caller, account: 'prod', verb: 'get', resource: 'pods' } as const;
  const entry = startRequestSpan(tracing, whole);
  const forward = startRequestSpan(tracing, { name: 'forward', parent: entry.context, account: 'prod', peer: 'b' });
  t.match(begun, [
    { name: 'kubernetes-api', kind: 'server', parent: caller },
    { name: 'forward', kind: 'client', parent: { traceparent: 'inside kubernetes-api' } },
  ]);
  forward.end(undefined, new GatewayError('agent-lost', 'it went away'));
  entry.end(502);
  startRequestSpan(tracing, whole).end(200, new GatewayError('cancelled', 'the caller went'));
  t.match(ended, [
    [{ 'agent_gateway.account': 'prod', 'agent_gateway.peer': 'b' }, 'it went away'],
    [{ 'agent_gateway.verb': 'get', 'agent_gateway.resource': 'pods', 'http.response.status_code': 502 }, 'status 502'],
    [{ 'http.response.status_code': 200 }, undefined],
  ]);
  t.equal(startRequestSpan(noTracing, whole).context, caller, 'without tracing the context passes through');
  t.end();
});
