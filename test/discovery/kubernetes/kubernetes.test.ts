/** Discovery in Kubernetes when all goes well: what is watched, what is seen and how soon, what is refused. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'tap';
import { parseAllDocuments } from 'yaml';
import { GatewayError } from '../../../src/core/errors.js';
import type { MembershipChange } from '../../../src/discovery/discovery.js';
import { KubernetesApiServer } from '../../kubernetes-server/api-server.js';
import { endpoints, endpointSlice } from '../../kubernetes-server/objects.js';
import { waitFor } from '../../wait.js';
import { recordingLogger } from '../recording-logger.js';
import { makeDiscovery, selfSigned, startDiscovery } from './start.js';

const service = 'spin-clouddriver';
const first = { name: 'pod-1', ip: '10.0.0.1' };
const second = { name: 'pod-2', ip: '10.0.0.2' };

const summary = (api: KubernetesApiServer): string[] =>
  api.requests.map(({ verb, resource }) => `${verb} ${resource}`.trim());

test('asks for permissions, lists once, and from there only watches', async (t) => {
  const api = await KubernetesApiServer.start(t);
  api.store.put('endpointslices', endpointSlice({ service, pods: [first, { ...second, ready: false }] }));
  api.store.put('endpointslices', endpointSlice({ service: 'spin-orca', pods: [{ name: 'orca', ip: '10.0.0.9' }] }));
  api.store.put(
    'endpointslices',
    endpointSlice({ service, namespace: 'other', pods: [{ name: 'x', ip: '10.0.9.9' }] }),
  );
  const { version } = api.store;
  const discovery = await startDiscovery(t, api);
  t.match(discovery.instances(), [
    { id: 'pod-1', baseUrl: 'http://10.0.0.1:7002', ready: true },
    { id: 'pod-2', baseUrl: 'http://10.0.0.2:7002', ready: false },
  ]);
  t.equal(discovery.instances().length, 2);
  t.equal(discovery.state().status, 'known');
  await waitFor(() => api.watches.count === 1);
  t.same(summary(api), ['review', 'review', 'list endpointslices', 'watch endpointslices']);
  const query = api.requests.at(-1)?.query;
  t.equal(query?.get('resourceVersion'), String(version), 'the watch begins where the list ended');
  t.equal(query?.get('allowWatchBookmarks'), 'true');
});

test('sees joining, readiness, leaving, and a removed Service, each within 250 ms', async (t) => {
  const api = await KubernetesApiServer.start(t);
  const discovery = await startDiscovery(t, api);
  const changes: MembershipChange[] = [];
  discovery.onChange((change) => changes.push(change));
  t.same(discovery.instances(), [], 'no Service yet is no failure');
  await waitFor(() => api.watches.count === 1);
  const soon = { timeoutMs: 250, intervalMs: 1 };
  const set = (...pods: Parameters<typeof endpointSlice>[0]['pods']): void => {
    api.store.put('endpointslices', endpointSlice({ service, pods }));
  };
  set(first);
  await waitFor(() => discovery.instance('pod-1')?.ready, soon);
  set({ ...first, ready: false }, second);
  await waitFor(() => discovery.instance('pod-1')?.ready === false, soon);
  set({ ...first, terminating: true }, second);
  set(second);
  await waitFor(() => discovery.instance('pod-1') === undefined, soon);
  api.store.delete('endpointslices', 'spinnaker', `${service}-abcde`);
  await waitFor(() => discovery.instances().length === 0, soon);
  t.same(changes, [
    { added: ['pod-1'], changed: [], removed: [] },
    { added: ['pod-2'], changed: ['pod-1'], removed: [] },
    { added: [], changed: [], removed: ['pod-1'] },
    { added: [], changed: [], removed: ['pod-2'] },
  ]);
});

test('several slices of several Services: a pod goes only when the last has dropped it', async (t) => {
  const api = await KubernetesApiServer.start(t);
  const put = (name: string, of: string, ...pods: Parameters<typeof endpointSlice>[0]['pods']): void => {
    api.store.put('endpointslices', endpointSlice({ service: of, name, pods }));
  };
  put('a', 'spin-clouddriver-rw', first);
  put('b', 'spin-clouddriver-rw', second);
  put('c', 'spin-clouddriver-ro', first);
  const discovery = await startDiscovery(t, api);
  await waitFor(() => api.watches.count === 1);
  api.store.delete('endpointslices', 'spinnaker', 'b');
  await waitFor(() => discovery.instance('pod-2') === undefined);
  put('a', 'spin-clouddriver-rw');
  put('d', 'spin-clouddriver-rw', { name: 'pod-3', ip: '10.0.0.3' });
  await waitFor(() => discovery.instance('pod-3'));
  t.ok(discovery.instance('pod-1'), 'the other Service still has it');
  api.store.delete('endpointslices', 'spinnaker', 'c');
  await waitFor(() => discovery.instance('pod-1') === undefined);
});

test('a list of more than one page', async (t) => {
  const api = await KubernetesApiServer.start(t);
  for (let i = 0; i < 1_201; i += 1) {
    const pod = { name: `pod-${String(i)}`, ip: '10.0.0.1' };
    api.store.put('endpointslices', endpointSlice({ service, name: `slice-${String(i)}`, pods: [pod] }));
  }
  const discovery = await startDiscovery(t, api);
  t.equal(discovery.instances().length, 1_201);
  t.equal(summary(api).filter((request) => request === 'list endpointslices').length, 3);
});

test('Endpoints where EndpointSlices are not permitted, with the same result', async (t) => {
  const api = await KubernetesApiServer.start(t);
  api.permissions.delete('watch endpointslices');
  api.store.put('endpoints', endpoints({ service, pods: [first, { ...second, ready: false }] }));
  const discovery = await startDiscovery(t, api);
  t.match(discovery.instances(), [
    { id: 'pod-1', baseUrl: 'http://10.0.0.1:7002', ready: true },
    { id: 'pod-2', baseUrl: 'http://10.0.0.2:7002', ready: false },
  ]);
  await waitFor(() => api.watches.count === 1);
  api.store.put('endpoints', endpoints({ service, pods: [{ ...first, ready: false }, second] }));
  await waitFor(() => discovery.instance('pod-1')?.ready === false && discovery.instance('pod-2')?.ready);
  t.notOk(summary(api).includes('list endpointslices'));
});

test('Endpoints where the API server has no EndpointSlices, whatever the Role says', async (t) => {
  const api = await KubernetesApiServer.start(t);
  api.absent.add('endpointslices');
  api.store.put('endpoints', endpoints({ service, pods: [first] }));
  const discovery = await startDiscovery(t, api);
  t.match(discovery.instances(), [{ id: 'pod-1' }]);
});

test('where reviews are forbidden, the list tells what is permitted', async (t) => {
  const api = await KubernetesApiServer.start(t);
  api.fail('review', 403, 4);
  api.permissions.delete('list endpointslices');
  api.store.put('endpoints', endpoints({ service, pods: [first] }));
  const discovery = await startDiscovery(t, api);
  t.match(discovery.instances(), [{ id: 'pod-1' }]);
});

test('no permission: refuses to start, and prints the Role and its binding', async (t) => {
  const api = await KubernetesApiServer.start(t);
  api.permissions.clear();
  const discovery = makeDiscovery(t, api);
  const error: unknown = await discovery.start(new AbortController().signal).catch((thrown: unknown) => thrown);
  t.ok(error instanceof GatewayError);
  const { code, message, details } = error as GatewayError;
  t.match({ code, details }, { code: 'permission-denied', details: { field: 'kubesvc.cluster-kubernetes' } });
  t.match(message, /^not permitted to list and watch endpointslices or endpoints in namespace spinnaker\./);
  const [role, binding] = parseAllDocuments(message.slice(message.indexOf('---'))).map(
    (document) => document.toJS() as object,
  );
  t.match(role, {
    kind: 'Role',
    metadata: { namespace: 'spinnaker' },
    rules: [
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
      { apiGroups: [''], resources: ['endpoints'], verbs: ['list', 'watch'] },
    ],
  });
  t.match(binding, {
    kind: 'RoleBinding',
    roleRef: { kind: 'Role', name: 'agent-gateway-discovery' },
    subjects: [{ kind: 'ServiceAccount', name: 'gateway', namespace: 'spinnaker' }],
  });
  await waitFor(async () => (await api.connections()) === 0, { description: 'nothing to be left running' });
});

test('no permission without failFast: one warning with the Role, and it works once the Role is there', async (t) => {
  const api = await KubernetesApiServer.start(t);
  api.permissions.clear();
  api.store.put('endpointslices', endpointSlice({ service, pods: [first] }));
  const logger = recordingLogger();
  const discovery = await startDiscovery(t, api, { failFast: false, logger });
  t.match(discovery.state(), { status: 'unknown', error: /^not permitted to list and watch [^\n]*$/ });
  await waitFor(() => summary(api).length >= 6, { description: 'it asks again' });
  const warnings = logger.lines.filter(({ level }) => level === 'warn');
  t.equal(warnings.length, 1);
  t.match(warnings[0]?.fields, { error: /kind: Role\n/ });
  for (const verb of ['list', 'watch']) api.permissions.add(`${verb} endpointslices`);
  await waitFor(() => discovery.state().status === 'known');
  t.match(discovery.instances(), [{ id: 'pod-1' }]);
});

test('an API server that does not answer fails the start in time, or does not without failFast', async (t) => {
  const api = await KubernetesApiServer.start(t);
  await api.stop();
  const strict = makeDiscovery(t, api, { startTimeoutMs: 300 });
  await t.rejects(strict.start(new AbortController().signal), {
    code: 'dependency-unavailable',
    message: /ECONNREFUSED/,
    details: { field: 'kubesvc.cluster-kubernetes' },
  });
  const patient = await startDiscovery(t, api, { failFast: false });
  t.equal(patient.state().status, 'unknown');
  api.store.put('endpointslices', endpointSlice({ service, pods: [first] }));
  await api.start();
  await waitFor(() => patient.instance('pod-1'));
  t.equal(patient.state().status, 'known');
});

test('no credentials at all: refuses to start and names the setting', async (t) => {
  const api = await KubernetesApiServer.start(t);
  const field = 'kubesvc.cluster-kubernetes.kubeconfigFile';
  const expected = { code: 'configuration', details: { field } };
  const signal = new AbortController().signal;
  const nowhere = join(api.directory, 'nowhere');
  await t.rejects(makeDiscovery(t, api, { serviceAccountDirectory: nowhere }).start(signal), expected);
  await t.rejects(makeDiscovery(t, api, { kubeconfigFile: nowhere }).start(signal), expected);
});

test('the signal ends the start, and nothing is left', async (t) => {
  const api = await KubernetesApiServer.start(t);
  api.fail('review', 'no-answer', 10);
  const controller = new AbortController();
  const starting = makeDiscovery(t, api, { requestTimeoutMs: 60_000 }).start(controller.signal);
  await waitFor(() => api.requests.length > 0);
  controller.abort(new Error('changed my mind'));
  await t.rejects(starting, { message: 'changed my mind' });
  await waitFor(async () => (await api.connections()) === 0);
});

test('stop leaves no connection, also in the middle of a watch', async (t) => {
  const api = await KubernetesApiServer.start(t);
  const discovery = await startDiscovery(t, api);
  await waitFor(() => api.watches.count === 1);
  await discovery.stop();
  await discovery.stop();
  await waitFor(async () => (await api.connections()) === 0);
  t.equal(discovery.state().error, 'stopped');
  const { length } = api.requests;
  api.store.put('endpointslices', endpointSlice({ service, pods: [first] }));
  t.equal(api.requests.length, length);
});

test('a kubeconfig file gives server, token and namespace', async (t) => {
  const api = await KubernetesApiServer.start(t, { tls: selfSigned() });
  api.store.put('endpointslices', endpointSlice({ service, pods: [first] }));
  const { kubeconfigFile } = api;
  const discovery = await startDiscovery(t, api, {
    ...{ kubeconfigFile, verifySsl: false },
    ...{ apiServer: 'http://127.0.0.1:1', useDNS: true },
  });
  t.match(discovery.instances(), [{ baseUrl: 'http://10-0-0-1.spinnaker.pod.cluster.local:7002' }]);
  t.match(
    await readFile(kubeconfigFile, 'utf8'),
    api.requests[0]?.authorization?.slice('Bearer '.length) ?? 'no token',
  );
});

test('the certificate of the API server is verified, unless verifySsl is false', async (t) => {
  const api = await KubernetesApiServer.start(t, { tls: selfSigned() });
  api.store.put('endpointslices', endpointSlice({ service, pods: [first] }));
  const trusting = await startDiscovery(t, api);
  t.match(trusting.instances(), [{ id: 'pod-1' }], 'the service account brings the authority');

  const { kubeconfigFile } = api;
  const lax = await startDiscovery(t, api, { kubeconfigFile, verifySsl: false });
  t.match(lax.instances(), [{ id: 'pod-1' }]);
  const strict = makeDiscovery(t, api, { kubeconfigFile, startTimeoutMs: 500 });
  await t.rejects(strict.start(new AbortController().signal), {
    code: 'dependency-unavailable',
    message: /self-signed certificate/,
  });
});
