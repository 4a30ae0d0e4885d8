/** Discovery on a real API server: Endpoints and EndpointSlices made by the real controllers, real RBAC, real failures. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { silentLogger } from '../../src/core/logger.js';
import { KubernetesDiscovery, type KubernetesDiscoveryOptions } from '../../src/discovery/kubernetes.js';
import { Replica } from '../cluster/replica.js';
import { mariaDbDatabase } from '../services/databases.js';
import { clusterTools } from '../services/helm.js';
import { deletePod, makePod, makeService, setPod } from '../services/kubernetes-pods.js';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { startKubernetes, type Kubernetes } from '../services/kubernetes.js';
import { startRedis } from '../services/redis.js';
import { waitFor } from '../wait.js';

const programs = await kubernetesPrograms();
const tools = await clusterTools();
const skip = { skip: typeof programs === 'string' && programs };
const namespace = 'spinnaker';
const patience = { timeoutMs: 60_000 };
const pod = (name: string, app: string, ip: string, ready = true) => ({
  ...{ namespace, name, labels: { app }, ips: [ip], ready },
});

function makeDiscovery(t: Test, options: Partial<KubernetesDiscoveryOptions>): KubernetesDiscovery {
  const discovery = new KubernetesDiscovery({
    logger: silentLogger,
    namespace,
    startTimeoutMs: 30_000,
    watchTimeoutSeconds: 30,
    backoff: { initialMs: 50, maximumMs: 500, multiplier: 2, jitter: 0.2 },
    ...options,
  });
  t.teardown(() => discovery.stop());
  return discovery;
}

async function startDiscovery(t: Test, options: Partial<KubernetesDiscoveryOptions>): Promise<KubernetesDiscovery> {
  const discovery = makeDiscovery(t, options);
  await discovery.start(new AbortController().signal);
  return discovery;
}

const members = (discovery: KubernetesDiscovery): string =>
  discovery
    .instances()
    .map(({ id, baseUrl, ready }) => `${id} ${baseUrl}${ready ? '' : ' not ready'}`)
    .join(', ');

const are = (discovery: KubernetesDiscovery, expected: string): Promise<unknown> =>
  waitFor(() => members(discovery) === expected, { ...patience, description: expected }).catch((error: unknown) => {
    throw new Error(`found: ${members(discovery)}`, { cause: error });
  });

async function makeAccount({ api }: Kubernetes, name: string, rules?: readonly object[]): Promise<void> {
  await api.post(`/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name } });
  if (rules === undefined) return;
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
  await api.post(`${rbac}/roles`, { metadata: { name }, rules });
  await api.post(`${rbac}/rolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace }],
  });
}

const onlyEndpoints = [{ apiGroups: [''], resources: ['endpoints'], verbs: ['list', 'watch'] }];

test('discovery on a real API server', skip, async (t) => {
  const kubernetes = await startKubernetes(programs, { apiServerArgs: ['--watch-cache=false'] });
  t.teardown(() => kubernetes.stop());
  const { api } = kubernetes;
  await api.post('/api/v1/namespaces', { metadata: { name: namespace } });
  for (const app of ['rw', 'ro']) await makeService(api, `spin-clouddriver-${app}`, { namespace, app });
  await makeService(api, 'spin-orca', { namespace, app: 'orca' });
  await makePod(api, pod('rw-1', 'rw', '10.0.0.1'));
  await makePod(api, pod('ro-1', 'ro', '10.0.0.2', false));
  await makePod(api, pod('orca-1', 'orca', '10.0.0.9'));
  const both = 'ro-1 http://10.0.0.2:7002 not ready, rw-1 http://10.0.0.1:7002';
  const admin = { kubeconfigFile: kubernetes.adminKubeconfig };

  await t.test('pods of all Services with the prefix; they come, go, and turn ready in under a second', async (t) => {
    const discovery = await startDiscovery(t, admin);
    await are(discovery, both);
    const times: number[] = [];
    for (const ready of [true, false, true, false, true, false]) {
      await setPod(api, pod('ro-1', 'ro', '10.0.0.2', ready));
      const began = Date.now();
      await waitFor(() => discovery.instance('ro-1')?.ready === ready, { ...patience, intervalMs: 1 });
      times.push(Date.now() - began);
    }
    t.comment(`readiness was seen after ${times.join(', ')} ms`);
    // Not the slowest: another test may have the machine for a while.
    t.ok(times.filter((ms) => ms < 1_000).length >= 3, 'in under a second');
    await makePod(api, pod('rw-2', 'rw', '10.0.0.3'));
    await are(discovery, `${both}, rw-2 http://10.0.0.3:7002`);
    await deletePod(api, 'rw-2', namespace);
    await are(discovery, both);
  });

  await t.test('the same members by Endpoints, where slices are not permitted', async (t) => {
    await makeAccount(kubernetes, 'old', onlyEndpoints);
    const kubeconfigFile = await kubernetes.kubeconfigFor(namespace, 'old');
    const discovery = await startDiscovery(t, { kubeconfigFile });
    await are(discovery, both);
  });

  const withTools = { skip: typeof tools === 'string' && tools };
  await t.test('without permission it prints the Role, and the Role as printed is enough', withTools, async (t) => {
    if (typeof tools === 'string') return;
    await makeAccount(kubernetes, 'new');
    const kubeconfigFile = await kubernetes.kubeconfigFor(namespace, 'new');
    const refused = await makeDiscovery(t, { kubeconfigFile })
      .start(new AbortController().signal)
      .then(() => undefined)
      .catch((error: unknown) => error as Error & { code: string });
    t.equal(refused?.code, 'permission-denied');
    const printed = (refused?.message ?? '').slice(refused?.message.indexOf('---'));
    await tools.kubectl(['--kubeconfig', kubernetes.adminKubeconfig, 'apply', '-f', '-'], { stdin: printed });
    await are(await startDiscovery(t, { kubeconfigFile }), both);
  });

  await t.test('a restart of the API server and a compaction lose nothing', async (t) => {
    const discovery = await startDiscovery(t, admin);
    await are(discovery, both);
    await kubernetes.apiServer.kill();
    await waitFor(() => discovery.state().status === 'unknown', patience);
    t.equal(members(discovery), both, 'the last known ones stay');
    await kubernetes.apiServer.restart();
    await makePod(api, pod('rw-3', 'rw', '10.0.0.4'));
    await kubernetes.compact();
    await are(discovery, `${both}, rw-3 http://10.0.0.4:7002`);
    await deletePod(api, 'rw-3', namespace);
    await are(discovery, both);
  });

  await t.test('a token that is worth nothing any more is read anew', async (t) => {
    const directory = join(kubernetes.directory, 'account');
    await mkdir(directory);
    const rotate = async (): Promise<void> => {
      await makeAccount(kubernetes, 'rotated', onlyEndpoints).catch(() => undefined);
      await writeFile(join(directory, 'token'), await kubernetes.token(namespace, 'rotated'));
    };
    await writeFile(join(directory, 'ca.crt'), kubernetes.ca);
    await rotate();
    const discovery = await startDiscovery(t, {
      apiServer: kubernetes.server,
      serviceAccountDirectory: directory,
      watchTimeoutSeconds: 1,
    });
    await are(discovery, both);
    await api.delete(`/api/v1/namespaces/${namespace}/serviceaccounts/rotated`);
    await waitFor(() => discovery.state().error?.includes('401'), { ...patience, description: 'the token is refused' });
    await rotate();
    await waitFor(() => discovery.state().status === 'known', patience);
    await are(discovery, both);
  });

  await t.test('a pod with two addresses is one member, reached by IPv4', async (t) => {
    const families = { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv6', 'IPv4'] };
    await makeService(api, 'spin-clouddriver-dual', { namespace, app: 'dual', ...families });
    await makePod(api, { ...pod('dual-1', 'dual', ''), ips: ['10.0.0.5', 'fd00::5'] });
    const expected = `dual-1 http://10.0.0.5:7002, ${both}`;
    await are(await startDiscovery(t, admin), expected);
    await api.delete(`/api/v1/namespaces/${namespace}/services/spin-clouddriver-dual`);
  });

  await t.test('three replicas find each other, and a Clouddriver beside them', async (t) => {
    const database = await mariaDbDatabase(t);
    const redis = await startRedis();
    t.teardown(() => redis.stop());
    const ids = ['gateway-0', 'gateway-1', 'gateway-2'];
    await makeService(api, 'spin-clouddriver-gateway', { namespace, app: 'gateway' });
    for (const [index, id] of ids.entries()) await makePod(api, pod(id, 'gateway', `10.0.1.${String(index + 1)}`));
    const settings = {
      'sql.url': database.url,
      'redis.connection': redis.url,
      'kubesvc.cluster': 'kubernetes',
      'kubesvc.cluster-kubernetes.namespace': namespace,
      'kubesvc.cluster-kubernetes.kubeconfigFile': await kubernetes.kubeconfigFor(namespace, 'old'),
      'kubesvc.drain.timeoutMs': 1_000,
      'kubesvc.drain.reconnectSpreadMs': 0,
    };
    const replicas = await Promise.all(ids.map((id) => Replica.spawn({ id, settings })));
    t.teardown(() => Promise.all(replicas.map((replica) => replica.end())));
    await Promise.all(replicas.map((replica) => replica.ready()));
    interface Instance {
      readonly id: string;
      readonly ready: boolean;
    }
    const seen = async (replica: Replica): Promise<string> =>
      ((await replica.get('/armory/clouddrivers')) as Instance[])
        .map(({ id, ready }) => `${id}${ready ? '' : ' not ready'}`)
        .join();
    const seenByAll = (expected: string): Promise<unknown> =>
      Promise.all(
        replicas.map((replica) =>
          waitFor(async () => (await seen(replica)) === expected, { ...patience, description: expected }),
        ),
      );
    await seenByAll('gateway-0,gateway-1,gateway-2,ro-1 not ready,rw-1');
    await setPod(api, pod('gateway-1', 'gateway', '10.0.1.2', false));
    await seenByAll('gateway-0,gateway-1 not ready,gateway-2,ro-1 not ready,rw-1');
  });
});
