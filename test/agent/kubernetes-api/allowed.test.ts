/** What an account's owner allows: the level, and the namespaces of the account. */

import { test } from 'tap';
import { refusedByAccount } from '../../../src/agent/kubernetes-api/allowed.js';
import { Cluster, type ClusterOptions } from '../../../src/agent/kubernetes/cluster.js';
import { requestInfo, type AccessLevel } from '../../../src/kubernetes/request-info.js';

const never = new AbortController().signal;
const scopes: Readonly<Record<string, boolean>> = { pods: true, deployments: true, nodes: false, namespaces: false };

async function why(request: string, options: Partial<ClusterOptions> = {}, level: AccessLevel = 'full', upgrade = '') {
  const [method = '', target = ''] = request.split(' ');
  const cluster = new Cluster({
    ...{ name: 'prod', credentials: {}, namespaces: [], omitNamespaces: [], onlyNamespacedResources: false },
    ...{ serverSideApply: 'allowed', requestTimeoutMs: 1_000, ...options },
  });
  const isNamespaced = (_group: string, name: string) => Promise.resolve(scopes[name]);
  const covered = {
    name: 'prod',
    options: cluster.options,
    covers: cluster.covers.bind(cluster),
    resources: { isNamespaced },
  };
  return refusedByAccount(requestInfo(method, target), upgrade, level, covered, never);
}

test('levels', async (t) => {
  t.match(
    await why('GET /api/v1/pods', {}, 'off'),
    'pods is forbidden: account "prod" is not open to requests of the Kubernetes API: set kubernetes.accounts[].apiAccess to "read" or "full" in the configuration of its agent',
  );
  t.match(await why('GET /version', {}, 'off'), /^path "\/version" is forbidden: .*apiAccess/);
  for (const request of ['GET /api/v1/pods', 'GET /version', 'GET /apis/apps/v1/namespaces/a/deployments?watch=1'])
    t.equal(await why(request, {}, 'read'), undefined, request);
  t.match(
    await why('DELETE /apis/apps/v1/namespaces/a/deployments/web', {}, 'read'),
    /^deployments\.apps "web" is forbidden: account "prod" is open for reading only .*apiAccess.*get, list and watch, not delete/,
  );
  t.match(await why('GET /api/v1/secrets', {}, 'read'), /does not allow secrets/);
  t.match(await why('GET /api/v1/namespaces/a/pods/b/exec', {}, 'read', 'websocket'), /websocket/);
  for (const request of ['DELETE /api/v1/namespaces/a/secrets/b', 'POST /api/v1/nodes/n/proxy/run', 'GET /metrics'])
    t.equal(await why(request), undefined, request);
});

test('an account with namespaces', async (t) => {
  const shop = { namespaces: ['shop'] };
  const allowed = [
    ...['GET /', 'GET /api', 'GET /api/v1', 'GET /apis', 'GET /apis/apps/v1', 'GET /openapi/v3/api/v1', 'GET /version'],
    ...['GET /readyz/ping', 'GET /api/v1/namespaces/shop/pods', 'POST /apis/apps/v1/namespaces/shop/deployments'],
    ...['GET /api/v1/namespaces', 'GET /api/v1/namespaces/shop', 'GET /api/v1/nodes'],
    'POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
  ];
  for (const request of allowed) t.equal(await why(request, shop), undefined, request);
  const refused = {
    'GET /api/v1/namespaces/other/pods':
      /^pods is forbidden: account "prod" does not cover namespace "other", which is not one of its namespaces \(kubernetes\.accounts\[\]\.namespaces\)$/,
    'GET /api/v1/pods': /^pods is forbidden: account "prod" does not cover all namespaces/,
    'GET /apis/apps/v1/watch/deployments': /does not cover all namespaces/,
    'GET /api/v1/watch/namespaces/other/pods': /does not cover namespace "other"/,
    'DELETE /api/v1/namespaces/other': /^namespaces "other" is forbidden: .*does not cover namespace "other"/,
    'GET /api/v1/nodes/n/proxy/pods': /a node has pods of all of them/,
    'GET /apis/example.com/v1/gadgets': /does not say whether/,
    'GET /metrics': /\/metrics belongs to none/,
    'GET /debug/pprof': /belongs to none/,
  };
  for (const [request, message] of Object.entries(refused)) t.match(await why(request, shop), message, request);
});

test('an account that leaves namespaces out, or cluster-scoped resources', async (t) => {
  const without = { omitNamespaces: ['kube-system'] };
  t.equal(await why('GET /api/v1/namespaces/shop/pods', without), undefined);
  t.match(await why('GET /api/v1/namespaces/kube-system/pods', without), /excluded from it .*omitNamespaces/);
  t.match(await why('GET /api/v1/pods', without), /does not cover all namespaces/);
  const namespaced = { onlyNamespacedResources: true };
  t.equal(await why('GET /api/v1/pods', namespaced), undefined);
  t.equal(await why('POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews', namespaced), undefined);
  t.match(await why('GET /api/v1/nodes', namespaced), /cluster-scoped resources .*onlyNamespacedResources/);
  t.match(await why('GET /api/v1/namespaces', namespaced), /cluster-scoped resources/);
});
