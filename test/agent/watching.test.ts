/** The agent's watchers against a real API server: what a gateway would be sent. */

import { readFile } from 'node:fs/promises';
import { test, type Test } from 'tap';
import type { CachingEvent, CachingScope, CachingSink } from '../../src/agent/caching-sink.js';
import { Cluster, type ClusterOptions } from '../../src/agent/kubernetes/cluster.js';
import { createStreamAccount, type CachedKinds } from '../../src/agent/watching/account-watcher.js';
import { ListBudget } from '../../src/agent/watching/list-budget.js';
import { watchMarginMs, watchSeconds } from '../../src/agent/watching/scope-watcher.js';
import { silentLogger } from '../../src/core/logger.js';
import { ObjectEvent_Type } from '../../src/protocol/generated/events/caching_pb.js';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { startKubernetes, type Kubernetes } from '../services/kubernetes.js';
import { startTcpProxy } from '../tcp-proxy.js';
import { waitFor } from '../wait.js';

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: object; readonly managedFields?: unknown };
  readonly data?: Readonly<Record<string, string>>;
}

const programs = await kubernetesPrograms();
const skip = { skip: typeof programs === 'string' && programs };
const patience = { timeoutMs: 60_000 };

/** Holds what a gateway would: the objects of each scope, and where it may resume. */
class Copy implements CachingSink {
  readonly objects = new Map<string, Manifest>();
  readonly snapshots: string[] = [];
  readonly points = new Map<string, string>();
  readonly lists: string[] = [];
  watches = 0;
  failures = 0;
  #listed: Set<string> | undefined;
  readonly #kinds: readonly string[];

  constructor(kinds: readonly string[]) {
    this.#kinds = kinds;
  }

  wants({ kind }: Pick<CachingScope, 'kind'>): boolean {
    return this.#kinds.includes(kind);
  }

  resumePoint(scope: CachingScope): string | undefined {
    return this.points.get(keyOf(scope));
  }

  snapshotStart(scope: CachingScope): Promise<void> {
    this.snapshots.push(keyOf(scope));
    this.#listed = new Set();
    return Promise.resolve();
  }

  snapshotEnd(scope: CachingScope, resourceVersion: string): Promise<void> {
    for (const key of this.objects.keys()) {
      if (key.startsWith(`${scope.kind}/`) && this.#listed?.has(key) === false) this.objects.delete(key);
    }
    this.#listed = undefined;
    this.points.set(keyOf(scope), resourceVersion);
    return Promise.resolve();
  }

  events(scope: CachingScope, events: readonly CachingEvent[], resourceVersion: string): Promise<void> {
    for (const { type, object } of events) {
      const manifest = JSON.parse(Buffer.from(object).toString()) as Manifest;
      const key = `${manifest.kind}/${manifest.metadata.name}`;
      this.#listed?.add(key);
      if (type === ObjectEvent_Type.DELETED) this.objects.delete(key);
      else this.objects.set(key, manifest);
    }
    if (resourceVersion !== '') this.points.set(keyOf(scope), resourceVersion);
    return Promise.resolve();
  }

  named(kind: string): string[] {
    return [...this.objects.keys()].filter((key) => key.startsWith(`${kind}/`)).map((key) => key.split('/')[1] ?? '');
  }
}

function keyOf({ kind, namespace }: CachingScope): string {
  return `${kind}/${namespace}`;
}

/** Streams an account into the copy until stop(). */
function stream(
  t: Test,
  kubernetes: Kubernetes,
  copy: Copy,
  options: Partial<ClusterOptions> & { readonly cached?: Partial<CachedKinds>; readonly seconds?: number } = {},
): { stop(): Promise<void> } {
  const { cached = {}, seconds = 60, ...rest } = options;
  const cluster = new Cluster({
    name: 'prod',
    credentials: { kubeconfigFile: kubernetes.adminKubeconfig },
    namespaces: [],
    omitNamespaces: [],
    onlyNamespacedResources: false,
    serverSideApply: 'allowed',
    requestTimeoutMs: 20_000,
    ...rest,
  });
  const controller = new AbortController();
  const run = createStreamAccount({
    accountOf: () => ({ cluster, cached: { kinds: [], omitKinds: [], labelSelector: '', ...cached } }),
    budget: new ListBudget({ total: 1, perAccount: 1 }),
    backoff: { initialMs: 50, maximumMs: 500, multiplier: 1.6, jitter: 0.2 },
    watchSeconds: seconds,
    kindsPeriodMs: 200,
    observer: {
      listed: (reason) => copy.lists.push(reason),
      watching: (change) => (copy.watches += change),
      sent: () => undefined,
      failed: () => (copy.failures += 1),
    },
    logger: silentLogger,
    random: Math.random,
  });
  const running = run('prod', copy, controller.signal).catch(() => undefined);
  const stop = async (): Promise<void> => {
    controller.abort(new Error('stopped'));
    await running;
    await cluster.close();
  };
  t.teardown(stop);
  return { stop };
}

async function makeMap(kubernetes: Kubernetes, name: string, data: object = {}, labels: object = {}): Promise<void> {
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels }, data };
  await waitFor(() => kubernetes.api.post('/api/v1/namespaces/default/configmaps', body), patience);
}

const mapPath = (name: string): string => `/api/v1/namespaces/default/configmaps/${name}`;

test('an account is streamed', skip, async (t) => {
  const kubernetes = await startKubernetes(programs, { controllers: false });
  t.teardown(() => kubernetes.stop());
  const { api } = kubernetes;
  // More than a page.
  for (let index = 0; index < 130; index += 1) await makeMap(kubernetes, `map-${String(index)}`);

  await t.test('lists in pages, then follows; only what is wanted', async (t) => {
    const copy = new Copy(['ConfigMap', 'Namespace', 'Secret']);
    stream(t, kubernetes, copy, { cached: { omitKinds: ['namespace'] }, omitNamespaces: ['kube-system'] });
    await waitFor(() => copy.named('ConfigMap').length >= 130 && copy.watches === 2, patience);
    t.strictSame(copy.named('Namespace'), []);
    const [one] = copy.objects.values();
    t.match(one, { apiVersion: 'v1', kind: 'ConfigMap' });
    t.equal(one?.metadata.managedFields, undefined);
    await makeMap(kubernetes, 'later', { a: '1' });
    await waitFor(() => copy.objects.get('ConfigMap/later'), patience);
    await api.patch(mapPath('later'), { data: { a: '2' } });
    await waitFor(() => copy.objects.get('ConfigMap/later')?.data?.['a'] === '2', patience);
    await api.delete(mapPath('later'));
    await waitFor(() => !copy.objects.has('ConfigMap/later'), patience);
    t.equal(copy.lists.length, 2);
  });

  await t.test('data of Secrets stays here', async (t) => {
    const copy = new Copy(['Secret']);
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{"data":{"key":"aHVudGVyMg=="}}' };
    const metadata = { name: 'secret', annotations };
    await api.post('/api/v1/namespaces/default/secrets', {
      ...{ apiVersion: 'v1', kind: 'Secret', metadata, data: { key: 'aHVudGVyMg==' }, stringData: { other: 'x' } },
    });
    stream(t, kubernetes, copy);
    const secret = await waitFor(() => copy.objects.get('Secret/secret'), patience);
    t.notOk(JSON.stringify(secret).includes('aHVudGVyMg'));
    t.notOk('data' in secret);
  });

  await t.test('resumes where the gateway has got to, without a list', async (t) => {
    const first = new Copy(['ConfigMap']);
    const { stop } = stream(t, kubernetes, first);
    await waitFor(() => first.watches === 1, patience);
    await stop();
    await makeMap(kubernetes, 'meanwhile');
    await api.delete(mapPath('map-7'));
    const second = new Copy(['ConfigMap']);
    for (const [key, point] of first.points) second.points.set(key, point);
    for (const [key, object] of first.objects) second.objects.set(key, object);
    stream(t, kubernetes, second);
    await waitFor(() => second.objects.has('ConfigMap/meanwhile') && !second.objects.has('ConfigMap/map-7'), patience);
    t.strictSame(second.lists, []);
  });

  await t.test('namespaces and labels narrow it', async (t) => {
    await makeMap(kubernetes, 'managed', {}, { 'app.kubernetes.io/managed-by': 'spinnaker' });
    const copy = new Copy(['ConfigMap', 'Namespace']);
    const labelSelector = 'app.kubernetes.io/managed-by=spinnaker';
    const account = { namespaces: ['default'], onlyNamespacedResources: true, cached: { labelSelector } };
    stream(t, kubernetes, copy, account);
    await waitFor(() => copy.objects.has('ConfigMap/managed'), patience);
    t.strictSame([...copy.objects.keys()], ['ConfigMap/managed']);
    t.strictSame([...copy.points.keys()], ['ConfigMap/default']);
  });

  await t.test('a custom resource that comes is watched, one that goes is forgotten', async (t) => {
    const copy = new Copy(['Widget']);
    stream(t, kubernetes, copy);
    const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
    await api.post(definitions, {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'widgets.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'widgets', singular: 'widget', kind: 'Widget' },
        versions: [{ name: 'v1', served: true, storage: true, schema }],
      },
    });
    const widget = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'one' } };
    await waitFor(() => api.post('/apis/example.com/v1/namespaces/default/widgets', widget), patience);
    await waitFor(() => copy.objects.has('Widget/one'), patience);
    await api.delete(`${definitions}/widgets.example.com`);
    await waitFor(() => copy.watches === 0, patience);
  });

  await t.test('what it may not list is tried again, and all else goes on', async (t) => {
    const role = '/apis/rbac.authorization.k8s.io/v1';
    await api.post(`${role}/clusterroles`, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'maps' },
      rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'watch'] }],
    });
    await api.post(`${role}/clusterrolebindings`, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'maps' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'maps' },
      subjects: [{ kind: 'ServiceAccount', name: 'watcher', namespace: 'default' }],
    });
    await api.post('/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'watcher' } });
    const copy = new Copy(['ConfigMap', 'Pod']);
    stream(t, kubernetes, copy, {
      credentials: { kubeconfigFile: await kubernetes.kubeconfigFor('default', 'watcher') },
    });
    await waitFor(() => copy.named('ConfigMap').length > 100 && copy.failures > 0, patience);
    await api.patch(`${role}/clusterroles/maps`, {
      rules: [{ apiGroups: [''], resources: ['configmaps', 'pods'], verbs: ['list', 'watch'] }],
    });
    await waitFor(() => copy.points.has('Pod/'), patience);
  });

  await t.test('a restart of the API server is only a pause', async (t) => {
    const copy = new Copy(['ConfigMap']);
    stream(t, kubernetes, copy);
    await waitFor(() => copy.watches === 1, patience);
    await kubernetes.apiServer.kill();
    await kubernetes.apiServer.restart();
    await makeMap(kubernetes, 'after');
    await waitFor(() => copy.objects.has('ConfigMap/after'));
  });

  await t.test('a silent server behind a proxy that stays up is noticed, and nothing is listed again', async (t) => {
    t.ok(watchSeconds * 1_250 + watchMarginMs < 60_000, 'within a minute');
    const proxy = await startTcpProxy({ port: Number(new URL(kubernetes.server).port) });
    t.teardown(() => proxy.close());
    const admin = await readFile(kubernetes.adminKubeconfig, 'utf8');
    const kubeconfig = admin.replace(kubernetes.server, `https://127.0.0.1:${String(proxy.port)}`);
    const copy = new Copy(['ConfigMap']);
    stream(t, kubernetes, copy, { credentials: { kubeconfig }, requestTimeoutMs: 2_000, seconds: 2 });
    await waitFor(() => copy.watches === 1, patience);
    proxy.stall();
    await makeMap(kubernetes, 'in-silence');
    await waitFor(() => copy.failures > 0, { timeoutMs: 20_000, description: 'the silence to be noticed' });
    t.notOk(copy.objects.has('ConfigMap/in-silence'));
    await proxy.heal();
    await waitFor(() => copy.objects.has('ConfigMap/in-silence'), patience);
    t.strictSame(copy.lists, ['first']);
  });
});

test('a version that is gone makes it list again, and what went meanwhile is removed', skip, async (t) => {
  const apiServerArgs = ['--watch-cache=false'];
  const kubernetes = await startKubernetes(programs, { controllers: false, apiServerArgs });
  t.teardown(() => kubernetes.stop());
  for (const name of ['stays', 'goes']) await makeMap(kubernetes, name);
  const first = new Copy(['ConfigMap']);
  const { stop } = stream(t, kubernetes, first);
  await waitFor(() => first.objects.has('ConfigMap/goes') && first.watches === 1, patience);
  await stop();
  await kubernetes.api.delete(mapPath('goes'));
  await makeMap(kubernetes, 'new');
  await kubernetes.compact();
  const second = new Copy(['ConfigMap']);
  for (const [key, point] of first.points) second.points.set(key, point);
  for (const [key, object] of first.objects) second.objects.set(key, object);
  stream(t, kubernetes, second);
  await waitFor(() => second.objects.has('ConfigMap/new') && !second.objects.has('ConfigMap/goes'), patience);
  t.strictSame(second.lists, ['expired']);
  t.ok(second.objects.has('ConfigMap/stays'));
});

test('lists wait for their turn, and no account takes every turn', async (t) => {
  const budget = new ListBudget({ total: 2, perAccount: 1 });
  const { signal } = new AbortController();
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const list = (account: string, at = signal) =>
    budget.run(account, at, () => {
      begun.push(account);
      return new Promise<void>((resolve) => ends.push(resolve));
    });
  const controller = new AbortController();
  const lists = [list('a'), list('a'), list('b'), list('c', controller.signal)];
  await waitFor(() => begun.length === 2);
  t.strictSame(begun, ['a', 'b']);
  controller.abort(new Error('not wanted'));
  await t.rejects(lists[3] as Promise<void>, { message: 'not wanted' });
  ends[0]?.();
  await waitFor(() => begun.length === 3);
  t.strictSame(begun, ['a', 'b', 'a']);
  for (const end of ends) end();
  await Promise.all(lists.slice(0, 3));
});
