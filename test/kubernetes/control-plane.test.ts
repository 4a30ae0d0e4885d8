/** The tests' own Kubernetes control plane does what a real one does. */

import { test } from 'tap';
import { Agent } from 'undici';
import { KubernetesApi, type KubernetesApiError } from '../services/kubernetes-api.js';
import { deletePod, makePod, makeService, setPod } from '../services/kubernetes-pods.js';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { startKubernetes } from '../services/kubernetes.js';
import { waitFor } from '../wait.js';

interface Subset {
  readonly addresses?: readonly { readonly ip: string; readonly targetRef: { readonly name: string } }[];
  readonly notReadyAddresses?: Subset['addresses'];
}
const programs = await kubernetesPrograms();
const options = { skip: typeof programs === 'string' && programs };
const patience = { timeoutMs: 60_000 };

test('a control plane', options, async (t) => {
  const kubernetes = await startKubernetes(programs);
  t.teardown(() => kubernetes.stop());
  const { api } = kubernetes;

  await t.test('makes endpoints of services and pods, and follows readiness', async () => {
    await makeService(api, 'web', { app: 'web' });
    await makePod(api, { name: 'one', labels: { app: 'web' }, ips: ['10.0.0.1'] });
    await makePod(api, { name: 'two', labels: { app: 'web' }, ips: ['10.0.0.2'], ready: false });
    const endpoints = async (): Promise<string> => {
      const { subsets = [] } = await api.get<{ subsets?: Subset[] }>('/api/v1/namespaces/default/endpoints/web');
      const names = (list: Subset['addresses'] = []) => list.map(({ ip, targetRef }) => `${targetRef.name}=${ip}`);
      const ready = subsets.flatMap((subset) => names(subset.addresses));
      const unready = subsets.flatMap((subset) => names(subset.notReadyAddresses));
      return `${ready.join()}|${unready.join()}`;
    };
    const are = (expected: string) =>
      waitFor(async () => (await endpoints()) === expected, { ...patience, description: expected });
    await are('one=10.0.0.1|two=10.0.0.2');
    await setPod(api, { name: 'two', ips: ['10.0.0.2'] });
    await are('one=10.0.0.1,two=10.0.0.2|');
    await deletePod(api, 'one');
    await are('two=10.0.0.2|');
    const slices =
      '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name%3Dweb';
    await waitFor(async () => (await api.get<{ items: unknown[] }>(slices)).items.length === 1, patience);
  });

  await t.test('refuses what RBAC does not allow', async (t) => {
    const dispatcher = new Agent({ connect: { ca: kubernetes.ca } });
    t.teardown(() => dispatcher.destroy());
    const authorization = `Bearer ${await kubernetes.token('default', 'default')}`;
    const account = new KubernetesApi(kubernetes.server, dispatcher, { authorization });
    const refusal = await account.get('/api/v1/namespaces/default/pods').catch((error: unknown) => error);
    t.equal((refusal as KubernetesApiError).status, 403);
    t.match((refusal as Error).message, 'pods is forbidden: User "system:serviceaccount:default:default"');
  });

  await t.test('lets a Deployment make its pods', async () => {
    const labels = { app: 'deployed' };
    const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'none' }] } };
    await api.post('/apis/apps/v1/namespaces/default/deployments', {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'deployed' },
      spec: { replicas: 2, selector: { matchLabels: labels }, template },
    });
    const pods = '/api/v1/namespaces/default/pods?labelSelector=app%3Ddeployed';
    await waitFor(async () => (await api.get<{ items: unknown[] }>(pods)).items.length === 2, patience);
  });

  await t.test('keeps its objects over a restart of the API server', async (t) => {
    await kubernetes.apiServer.kill();
    await kubernetes.apiServer.restart();
    t.equal((await api.get('/api/v1/namespaces/default/pods/two')).metadata.name, 'two');
  });
});

test('a watch from a compacted version gets 410', options, async (t) => {
  // Without a watch cache the versions are etcd's.
  const args = ['--watch-cache=false'];
  const kubernetes = await startKubernetes(programs, { controllers: false, apiServerArgs: args });
  t.teardown(() => kubernetes.stop());
  const { api } = kubernetes;
  const config = '/api/v1/namespaces/default/configmaps';
  const { metadata } = await api.get(config);
  for (const name of ['one', 'two']) {
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } };
    await waitFor(() => api.post(config, map), { ...patience, description: 'the namespace' });
  }
  await kubernetes.compact();
  const watched = await api
    .get<{ type?: string; object?: { code: number } }>(
      `${config}?watch=true&timeoutSeconds=5&resourceVersion=${metadata.resourceVersion ?? ''}`,
    )
    .catch((error: unknown) => error);
  const code = (watched as KubernetesApiError).status ?? (watched as { object?: { code: number } }).object?.code;
  t.equal(code, 410);
});
