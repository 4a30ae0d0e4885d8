/** One trace from a caller over the forward to the agent and its result, as a collector gets it (OTLP over HTTP, JSON). */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type Test } from 'tap';
import { AgentConnection } from '../../src/agent/connection.js';
import { silentLogger } from '../../src/core/logger.js';
import type { TunnelledRequest } from '../../src/tunnel/exchange.js';
import { RawAgent } from '../gateway/raw-agent.js';
import { waitFor } from '../wait.js';
import { startCluster } from './cluster.js';

interface CollectedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly kind: number;
  readonly instance: string;
  readonly failed: boolean;
  readonly attributes: Readonly<Record<string, string | number>>;
}

interface Value {
  readonly stringValue?: string;
  readonly intValue?: number;
}

interface Attribute {
  readonly key: string;
  readonly value: Value;
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly name: string;
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly kind: number;
        readonly status?: { readonly code?: number };
        readonly attributes: readonly Attribute[];
      }[];
    }[];
  }[];
}

const record = (attributes: readonly Attribute[]) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? '']));

async function startCollector(t: Test) {
  const spans: CollectedSpan[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => (text += part));
    request.on('end', () => {
      for (const { resource, scopeSpans } of (JSON.parse(text) as Export).resourceSpans) {
        const instance = String(record(resource.attributes)['service.instance.id']);
        for (const { parentSpanId = '', status, attributes, ...span } of scopeSpans.flatMap((scope) => scope.spans))
          spans.push({ ...span, parentSpanId, instance, failed: status?.code === 2, attributes: record(attributes) });
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return { spans, endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces` };
}

test('one trace from the call over the forward to the agent and back', async (t) => {
  const { spans, endpoint } = await startCollector(t);
  const { replicas } = await startCluster(t, {
    size: 2,
    settings: { 'tracing.enabled': 'true', 'tracing.endpoint': endpoint, 'kubesvc.rebalance.enabled': 'false' },
  });
  const [entry, owner] = replicas;
  if (entry === undefined || owner === undefined) throw new Error('no replicas');
  const agent = await RawAgent.register(t, owner.agentsAddress, { agentId: 'agent', accounts: [{ name: 'traced' }] });
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const callerSpan = 'b7ad6b7169203331';
  const post = async (account: string): Promise<Response> =>
    fetch(`${entry.restUrl}/armory/agent/operations`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        prefer: 'wait=10',
        traceparent: `00-${traceId}-${callerSpan}-01`,
        tracestate: 'vendor=1',
      },
      body: JSON.stringify({ operation: { account, restart: { object: { kind: 'Deployment', name: 'web' } } } }),
    });

  const answered = post('traced');
  const sent = await agent.next('operation');
  agent.send({ case: 'result', value: { operationId: sent.id, account: 'traced', status: 200 } });
  t.equal((await answered).status, 200);
  const of = (name: string) => spans.find((span) => span.name === name);
  await waitFor(() => ['operation', 'forward', 'agent'].every((name) => of(name) !== undefined), {
    description: 'three spans',
  });
  const [operation, forward, toAgent] = [of('operation'), of('forward'), of('agent')];
  t.match(operation, { traceId, parentSpanId: callerSpan, instance: entry.id, failed: false });
  t.match(operation?.attributes, { 'agent_gateway.operation.id': sent.id, 'agent_gateway.operation.type': 'restart' });
  t.match(forward, { traceId, parentSpanId: operation?.spanId, instance: entry.id, failed: false });
  t.match(forward?.attributes, { 'agent_gateway.peer': owner.id });
  t.match(toAgent, { traceId, parentSpanId: operation?.spanId, instance: owner.id, failed: false });
  t.match(toAgent?.attributes, { 'agent_gateway.agent.id': 'agent', 'agent_gateway.operation.id': sent.id });
  t.match(sent.trace, { traceparent: `00-${traceId}-${operation?.spanId ?? ''}-01`, tracestate: 'vendor=1' });

  await t.test('a refusal is a failed span', async (t) => {
    t.equal((await post('nobody')).status, 404);
    await waitFor(() => spans.some(({ failed }) => failed), { description: 'a failed span' });
    t.match(
      spans.find(({ failed }) => failed),
      { name: 'operation', traceId, instance: entry.id, attributes: { 'agent_gateway.account': 'nobody' } },
    );
  });

  await t.test('requests of the Kubernetes API', async (t) => {
    let atAgent: TunnelledRequest | undefined;
    const connection = new AgentConnection({
      addresses: [owner.agentsAddress],
      registration: { agentId: 'cluster', zoneId: '', version: '1.2.3', accounts: [{ name: 'cluster' }] },
      execute: () => Promise.resolve({ status: 200 }),
      logger: silentLogger,
      answerKubernetesApi: (request, answer) => {
        atAgent = request;
        answer.respond({ status: 200, headers: [] });
        answer.end();
        return {
          onData: () => undefined,
          onEnd: () => undefined,
          onDrain: () => undefined,
          onCancelled: () => undefined,
        };
      },
    });
    t.teardown(() => connection.stop());
    connection.start();
    await waitFor(() => connection.state.name === 'active');
    spans.length = 0;
    const answer = await fetch(`${entry.restUrl}/kubernetes/accounts/cluster/api/v1/pods`, {
      headers: { traceparent: `00-${traceId}-${callerSpan}-01`, tracestate: 'vendor=1' },
    });
    t.equal(answer.status, 200);
    await waitFor(() => spans.length === 3, {
      timeoutMs: 20_000,
      description: `three spans, not ${String(spans.length)}`,
    });
    const [whole, forward, toAgent] = ['kubernetes-api', 'forward', 'agent'].map(of);
    t.match(whole, { traceId, parentSpanId: callerSpan, instance: entry.id, failed: false });
    t.match(whole?.attributes, {
      'agent_gateway.account': 'cluster',
      'agent_gateway.verb': 'list',
      'agent_gateway.resource': 'pods',
      'http.response.status_code': 200,
    });
    t.match(forward, { traceId, parentSpanId: whole?.spanId, instance: entry.id, failed: false });
    t.match(toAgent, { traceId, parentSpanId: forward?.spanId, instance: owner.id, failed: false });
    const { headers = [] } = atAgent ?? {};
    t.strictSame(headers.slice(headers.indexOf('traceparent')), [
      'traceparent',
      `00-${traceId}-${toAgent?.spanId ?? ''}-01`,
      'tracestate',
      'vendor=1',
    ]);
  });
});
