/** An API server for what a real one cannot be made to do here: logs without a kubelet, failures, no aggregated discovery. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Cluster } from '../../../src/agent/kubernetes/cluster.js';
import { createExecute } from '../../../src/agent/kubernetes/execute.js';
import { defaultRetries, type Retries } from '../../../src/agent/kubernetes/retries.js';
import type { Execution } from '../../../src/agent/operation-results.js';
import { silentLogger } from '../../../src/core/logger.js';
import { OperationSchema } from '../../../src/protocol/generated/ops/operations_pb.js';

type Request = NonNullable<MessageInitShape<typeof OperationSchema>['request']>;

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Discovery as before Kubernetes 1.27, of pods and config maps alone; the server of another group is down. */
const discovery: Record<string, object> = {
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/apis': { kind: 'APIGroupList', groups: [{ name: 'metrics.k8s.io', versions: [{ version: 'v1' }] }] },
  '/api/v1': {
    resources: [
      { name: 'pods', kind: 'Pod', namespaced: true, verbs: ['get', 'list', 'watch'] },
      { name: 'pods/log', kind: 'Pod', namespaced: true, verbs: ['get'] },
      { name: 'configmaps', kind: 'ConfigMap', namespaced: true, verbs: ['get', 'list', 'watch'] },
    ],
  },
};

/**
 * Starts one, and a cluster that leads to it.
 * @param answer whatever is not discovery
 * @param more documents of discovery, by path
 */
export async function startApiDouble(
  t: { teardown(release: () => Promise<void>): unknown },
  answer: Answer,
  more: Readonly<Record<string, object>> = {},
): Promise<{ readonly cluster: Cluster; readonly requests: string[] }> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const found = { ...discovery, ...more }[request.url ?? ''];
    if (found !== undefined) {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(found));
      return;
    }
    if (request.url === '/apis/metrics.k8s.io/v1') {
      sendStatus(response, 503, 'ServiceUnavailable');
      return;
    }
    requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const cluster = new Cluster({
    name: 'prod',
    credentials: {
      kubeconfig: JSON.stringify({
        clusters: [{ name: 'double', cluster: { server: url } }],
        contexts: [{ name: 'double', context: { cluster: 'double' } }],
        'current-context': 'double',
      }),
    },
    namespaces: [],
    omitNamespaces: [],
    onlyNamespacedResources: false,
    serverSideApply: 'allowed',
    requestTimeoutMs: 5_000,
  });
  t.teardown(async () => {
    await cluster.close();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return { cluster, requests };
}

/** Executes one operation on a cluster, as the agent does it. */
export function runOn(cluster: Cluster, request: Request, retries: Partial<Retries> = {}): Promise<Execution> {
  const execute = createExecute({
    clusterOf: () => cluster,
    fieldManager: 'agent',
    logger: silentLogger,
    retries: { ...defaultRetries, maxRetries: 2, backOffMs: 1, ...retries },
  });
  const operation = create(OperationSchema, { id: 'x', account: 'prod', request });
  return execute(operation, { signal: AbortSignal.timeout(120_000) });
}

export function sendStatus(
  response: ServerResponse,
  code: number,
  message: string,
  headers: object = {},
  reason = message,
): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ kind: 'Status', code, message, reason }));
}
