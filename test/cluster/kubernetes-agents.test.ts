/** Three replicas and two agents as processes on a real API server: an operation given anywhere is done in the cluster, once. */

import { test } from 'tap';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { startKubernetes } from '../services/kubernetes.js';
import { waitFor } from '../wait.js';
import { AgentProcess } from './agent-process.js';
import { CacheTables } from './cached-objects.js';
import { startCluster } from './cluster.js';
import type { Replica } from './replica.js';

interface Json {
  readonly [key: string]: Json;
}

const programs = await kubernetesPrograms();
const patience = { timeoutMs: 60_000, intervalMs: 50 };
const web = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'default', name: 'web' };

function deployment(image: string): object {
  const labels = { app: 'web' };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image }] } };
  const spec = { selector: { matchLabels: labels }, template };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', namespace: 'default' }, spec };
}

const base64 = (manifest: object): string => Buffer.from(JSON.stringify(manifest)).toString('base64');

test(
  'operations reach a real cluster through any replica',
  { skip: typeof programs === 'string' && programs },
  async (t) => {
    const [kubernetes, { replicas, settings }] = await Promise.all([startKubernetes(programs), startCluster(t)]);
    t.teardown(() => kubernetes.stop());
    const { api } = kubernetes;
    const addresses = replicas.map(({ agentsAddress }) => agentsAddress);
    await Promise.all(
      [
        { metadata: { name: 'agent' }, path: '/api/v1/namespaces/kube-system/serviceaccounts' },
        {
          path: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
          metadata: { name: 'agent' },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
          subjects: [{ kind: 'ServiceAccount', name: 'agent', namespace: 'kube-system' }],
        },
      ].map(({ path, ...body }) => api.post(path, body)),
    );
    const kubeConfigFile = await kubernetes.kubeconfigFor('kube-system', 'agent');
    const agents = await Promise.all(
      ['prod', 'team'].map((name) =>
        AgentProcess.start(t, {
          agentId: `agent-${name}`,
          addresses,
          accounts: [{ name, kubeConfigFile, ...(name === 'team' ? { namespaces: ['default'] } : {}) }],
        }),
      ),
    );
    const ownerOf = async (agent: string, replica: Replica): Promise<string | undefined> => {
      const all = (await replica.get('/armory/agents')) as { agentId: string; clouddriverId: string }[];
      return all.find(({ agentId }) => agentId === agent)?.clouddriverId;
    };
    const owner = await waitFor(() => ownerOf('agent-prod', replicas[0] as Replica), {
      ...patience,
      description: `the agent to register: ${agents.map(({ errors }) => errors).join()}`,
    });
    const stranger = replicas.find(({ id }) => id !== owner) as Replica;
    const operate = async (request: object, account = 'prod'): Promise<Json> => {
      const { status, body } = await stranger.operate({ account, ...request });
      if (status !== 200) throw new Error(`${String(status)} ${JSON.stringify(body)}`);
      return body.result as unknown as Json;
    };
    const path = '/apis/apps/v1/namespaces/default/deployments/web';

    await t.test('deploy, scale, restart, undo and delete', async (t) => {
      t.match(await operate({ deploy: { manifest: base64(deployment('one')) } }), { status: 200 });
      const made = await api.get<Json>(path);
      t.match(made, { metadata: { managedFields: [{ manager: 'agent-gateway-agent' }] } });
      await operate({ scale: { object: web, replicas: 2 } });
      t.match(await api.get(path), { spec: { replicas: 2 } });
      const revision = async (): Promise<number> =>
        Number((await api.get<Json>(path))['metadata']?.['annotations']?.['deployment.kubernetes.io/revision'] ?? 0);
      await waitFor(async () => (await revision()) === 1, { ...patience, description: 'revision 1' });
      await operate({ restart: { object: web } });
      await waitFor(async () => (await revision()) === 2, { ...patience, description: 'revision 2' });
      t.match(await operate({ undo: { object: web } }), { status: 200 });
      const { spec } = await api.get<Json>(path);
      t.notOk(spec?.['template']?.['metadata']?.['annotations']?.['kubectl.kubernetes.io/restartedAt']);
    });

    await t.test('its objects are cached, those of Secrets without data', async (t) => {
      const tables = new CacheTables(String(settings['sql.url']));
      t.teardown(() => tables.close());
      const id = (account: string, kind: string, name: string) =>
        `kubernetes.v2:infrastructure:${kind}:${account}:default:${name}`;
      for (const account of ['prod', 'team']) {
        await waitFor(async () => (await tables.read()).objects.has(id(account, 'deployment', 'web')), {
          ...patience,
          description: `the Deployment in kubesvc_cache, of ${account}`,
        });
      }
      const [pod] = (await api.get<{ items: { metadata: { name: string } }[] }>('/api/v1/namespaces/default/pods'))
        .items;
      await waitFor(
        async () => (await tables.read()).objects.has(id('prod', 'pod', pod?.metadata.name ?? '')),
        patience,
      );
      t.match(await operate({ delete: { object: web, wait: true } }), { status: 200 });
      t.match(await operate({ get: { object: web } }), { status: 404, reason: 'NotFound' });
      await waitFor(async () => !(await tables.read()).objects.has(id('prod', 'deployment', 'web')), patience);
    });

    await t.test('killing the owner in the middle loses no step and repeats none', async (t) => {
      const steps = Array.from({ length: 40 }, (_, index) => `step-${String(index)}`);
      const done: string[] = [];
      const step = async (name: string): Promise<void> => {
        const metadata = { generateName: 'step-', namespace: 'default', labels: { step: name } };
        const manifest = base64({ apiVersion: 'v1', kind: 'ConfigMap', metadata });
        const result = await operate({ deploy: { manifest } });
        if (Number(result['status']) !== 200) throw new Error(`${name}: ${JSON.stringify(result)}`);
        done.push(name);
        if (done.length === 10) replicas.find(({ id }) => id === owner)?.signal('SIGKILL');
      };
      // Four callers, each one step after the other.
      await Promise.all(
        [0, 1, 2, 3].map(async (caller) => {
          for (const name of steps.filter((_, index) => index % 4 === caller)) await step(name);
        }),
      );
      const { items } = await api.get<{ items: { metadata: { labels?: { step?: string } } }[] }>(
        '/api/v1/namespaces/default/configmaps?labelSelector=step',
      );
      t.strictSame(items.map(({ metadata }) => metadata.labels?.step).sort(), [...steps].sort());
      t.not(await ownerOf('agent-prod', stranger), owner);
    });

    await t.test('an agent ends in order', async (t) => {
      t.equal(await agents[1]?.end(), 0);
      await waitFor(async () => (await ownerOf('agent-team', stranger)) === undefined, patience);
    });
  },
);
