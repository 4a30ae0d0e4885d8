/** A watch whose changes are larger than one message: every message says where to resume, as the gateway asks for. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'tap';
import type { CachingEvent, CachingSink } from '../../../src/agent/caching-sink.js';
import { Cluster } from '../../../src/agent/kubernetes/cluster.js';
import { ListBudget } from '../../../src/agent/watching/list-budget.js';
import { watchScope } from '../../../src/agent/watching/scope-watcher.js';
import { silentLogger } from '../../../src/core/logger.js';
import { waitFor } from '../../wait.js';

const change = (name: string, resourceVersion: string, bytes: number) =>
  `${JSON.stringify({
    type: 'ADDED',
    object: {
      ...{ apiVersion: 'v1', kind: 'ConfigMap', data: { text: 'x'.repeat(bytes) } },
      metadata: { name, namespace: 'shop', resourceVersion },
    },
  })}\n`;

test('each message of a watch has the version of its last object', async (t) => {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    // In one piece, so that the end of the large one comes together with those behind it.
    response.write(change('large', '11', 200 << 10) + change('small', '12', 10) + change('last', '13', 10));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const cluster = new Cluster({
    name: 'prod',
    credentials: {
      kubeconfig: JSON.stringify({
        clusters: [{ name: 'c', cluster: { server: url } }],
        users: [{ name: 'u', user: {} }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    },
    ...{ namespaces: [], omitNamespaces: [], onlyNamespacedResources: false, serverSideApply: 'allowed' },
    requestTimeoutMs: 60_000,
  });
  t.teardown(() => cluster.close());
  t.teardown(() => server.closeAllConnections());

  const sent: (readonly [number, string])[] = [];
  const none = (): Promise<void> => Promise.resolve();
  const sink: CachingSink = {
    ...{ wants: () => true, resumePoint: () => '10', snapshotStart: none, snapshotEnd: none },
    events: (_, events: readonly CachingEvent[], resourceVersion) => {
      sent.push([events.length, resourceVersion]);
      return Promise.resolve();
    },
  };
  const stopping = new AbortController();
  const resource = { group: '', version: 'v1', name: 'configmaps', kind: 'ConfigMap', namespaced: true };
  const watching = watchScope(
    { cluster, resource: { ...resource, verbs: ['list', 'watch'] }, namespace: '', labelSelector: '' },
    sink,
    {
      budget: new ListBudget({ total: 1, perAccount: 1 }),
      backoff: { initialMs: 10, maximumMs: 10, multiplier: 1, jitter: 0 },
      observer: { listed: () => 0, watching: () => 0, sent: () => 0, failed: () => 0 },
      ...{ watchSeconds: 60, logger: silentLogger, random: Math.random },
    },
    stopping.signal,
  ).catch(() => undefined);
  await waitFor(() => sent.some(([, version]) => version === '13'));
  stopping.abort(new Error('done'));
  await watching;
  t.same(sent, [
    [1, '11'],
    [2, '13'],
  ]);
});
