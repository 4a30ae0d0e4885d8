/** The agent's operations against a real API server and its controllers. */

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { test } from 'tap';
import { Cluster, type ClusterOptions } from '../../../src/agent/kubernetes/cluster.js';
import { createExecute } from '../../../src/agent/kubernetes/execute.js';
import { silentLogger } from '../../../src/core/logger.js';
import { defaultRetries } from '../../../src/agent/kubernetes/retries.js';
import type { Execution } from '../../../src/agent/operation-results.js';
import {
  Delete_Propagation,
  Deploy_Mode,
  OperationSchema,
  Patch_Type,
} from '../../../src/protocol/generated/ops/operations_pb.js';
import { kubernetesPrograms } from '../../services/kubernetes-program.js';
import { startKubernetes } from '../../services/kubernetes.js';
import { waitFor } from '../../wait.js';

type Request = NonNullable<MessageInitShape<typeof OperationSchema>['request']>;
interface Json {
  readonly [key: string]: Json;
}

const programs = await kubernetesPrograms();
const patience = { timeoutMs: 60_000 };
const web = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'default', name: 'web' };

function deployment(image: string, more: object = {}): object {
  const labels = { app: 'web' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'main', image }] } },
      ...more,
    },
  };
}

function configMap(name: string, data: object, metadata: object = {}): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default', ...metadata }, data };
}

const bytes = (manifest: object): Uint8Array => Buffer.from(JSON.stringify(manifest));

function objectsOf({ body }: Execution): Json[] {
  if (body?.case !== 'objects') return [];
  return body.value.manifests.map((manifest) => JSON.parse(Buffer.from(manifest).toString()) as Json);
}

test('operations on a cluster', { skip: typeof programs === 'string' && programs }, async (t) => {
  const kubernetes = await startKubernetes(programs);
  t.teardown(() => kubernetes.stop());
  const clusters = new Map<string, Cluster>();
  const addCluster = (name: string, options: Partial<ClusterOptions> = {}): void => {
    const cluster = new Cluster({
      name,
      credentials: { kubeconfigFile: kubernetes.adminKubeconfig },
      namespaces: [],
      omitNamespaces: [],
      onlyNamespacedResources: false,
      serverSideApply: 'allowed',
      requestTimeoutMs: 20_000,
      ...options,
    });
    clusters.set(name, cluster);
    t.teardown(() => cluster.close());
  };
  addCluster('prod');
  const execute = createExecute({
    clusterOf: (account) => clusters.get(account),
    fieldManager: 'agent-gateway-agent',
    logger: silentLogger,
    retries: { ...defaultRetries, backOffMs: 50 },
  });
  const run = (request: Request, account = 'prod', timeoutMs = 20_000): Promise<Execution> =>
    execute(create(OperationSchema, { id: 'x', account, request }), {
      signal: AbortSignal.timeout(timeoutMs),
    });
  const deploy = (manifest: object, more: object = {}): Promise<Execution> =>
    run({ case: 'deploy', value: { manifest: bytes(manifest), ...more } });
  const live = (path: string): Promise<Json> => kubernetes.api.get<Json>(path);
  const deploymentPath = '/apis/apps/v1/namespaces/default/deployments/web';

  await t.test('deploy applies on the server, as the agent', async (t) => {
    const [made] = objectsOf(await deploy(deployment('one')));
    t.match(made, {
      metadata: { name: 'web', managedFields: [{ manager: 'agent-gateway-agent', operation: 'Apply' }] },
    });
    const dry = await deploy(deployment('two'), { dryRun: true });
    t.equal(dry.status, 200);
    t.match(await live(deploymentPath), { spec: { template: { spec: { containers: [{ image: 'one' }] } } } });
  });

  await t.test('a conflict is Kubernetes’ own, and can be forced', async (t) => {
    await deploy(configMap('shared', { a: '1' }));
    const other = await deploy(configMap('shared', { a: '2' }), { fieldManager: 'someone' });
    t.match(other, { status: 409, reason: 'Conflict', message: /conflict with "agent-gateway-agent"/ });
    const forced = await deploy(configMap('shared', { a: '2' }), { fieldManager: 'someone', forceConflicts: true });
    t.match(objectsOf(forced), [{ data: { a: '2' } }]);
  });

  await t.test('what Kubernetes refuses keeps its status, reason and message', async (t) => {
    const missing = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'default', name: 'none' };
    t.match(await run({ case: 'get', value: { object: missing } }), {
      status: 404,
      reason: 'NotFound',
      message: 'deployments.apps "none" not found',
    });
    const invalid = await deploy(deployment('one', { replicas: -1 }));
    t.match(invalid, { status: 422, reason: 'Invalid', message: /spec.replicas/ });
    const unknown = await run({ case: 'get', value: { object: { ...web, apiVersion: '', kind: 'Widget' } } });
    t.match(unknown, { status: 404, message: 'no matches for kind "Widget"' });
    t.match(await run({ case: undefined }), { status: 400 });
    t.match(await run({ case: 'get', value: { object: web } }, 'other'), { status: 404, message: /does not serve/ });
    const nonsense = await run({ case: 'deploy', value: { manifest: Buffer.from('{"kind":1') } });
    t.match(nonsense, { status: 400, message: /manifest: expected/ });
  });

  await t.test('create, replace and generated names', async (t) => {
    const created = await deploy(configMap('made', { a: '1' }), { mode: Deploy_Mode.CREATE });
    t.equal(created.status, 200);
    t.match(await deploy(configMap('made', { a: '1' }), { mode: Deploy_Mode.CREATE }), {
      status: 409,
      reason: 'AlreadyExists',
    });
    const replaced = await deploy(configMap('made', { b: '2' }), { mode: Deploy_Mode.REPLACE });
    t.strictSame(objectsOf(replaced)[0]?.['data'], { b: '2' });
    t.equal((await deploy(configMap('new', {}), { mode: Deploy_Mode.REPLACE })).status, 200);
    const named = await deploy({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'gen-' } });
    t.match(objectsOf(named), [{ metadata: { name: /^gen-./, namespace: 'default' } }]);
  });

  await t.test('list pages and selects; kinds are found without a version', async (t) => {
    const list = (value: object) => run({ case: 'list', value });
    const first = await list({ object: { kind: 'configmap', namespace: 'default' }, limit: 2 });
    t.equal(objectsOf(first).length, 2);
    t.match(objectsOf(first)[0], { apiVersion: 'v1', kind: 'ConfigMap' });
    const token = first.body?.case === 'objects' ? first.body.value.continue : '';
    const rest = await list({ object: { kind: 'ConfigMap', namespace: 'default' }, limit: 50, continue: token });
    t.ok(objectsOf(rest).length >= 2);
    const one = await list({ object: { kind: 'ConfigMap' }, fieldSelector: 'metadata.name=made' });
    t.match(objectsOf(one), [{ metadata: { name: 'made' } }]);
  });

  await t.test('patches of three types', async (t) => {
    const object = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'default', name: 'made' };
    const patch = async (type: Patch_Type, body: object): Promise<Json | undefined> =>
      objectsOf(await run({ case: 'patch', value: { object, type, patch: bytes(body) } }))[0];
    t.strictSame((await patch(Patch_Type.MERGE, { data: { c: '3' } }))?.['data'], { b: '2', c: '3' });
    t.strictSame((await patch(Patch_Type.STRATEGIC, { data: { b: null } }))?.['data'], { c: '3' });
    const json = [{ op: 'add', path: '/data/d', value: '4' }];
    t.strictSame((await patch(Patch_Type.JSON, json))?.['data'], { c: '3', d: '4' });
  });

  await t.test('scale, restart, pause and resume', async (t) => {
    const [scaled] = objectsOf(await run({ case: 'scale', value: { object: web, replicas: 3 } }));
    t.match(scaled, { kind: 'Deployment', spec: { replicas: 3 } });
    const [restarted] = objectsOf(await run({ case: 'restart', value: { object: web } }));
    const annotations = { 'kubectl.kubernetes.io/restartedAt': /^\d{4}-/ };
    t.match(restarted, { spec: { template: { metadata: { annotations } } } });
    t.match(objectsOf(await run({ case: 'pause', value: { object: web } })), [{ spec: { paused: true } }]);
    t.match(await run({ case: 'restart', value: { object: web } }), { status: 400, message: /paused/ });
    await run({ case: 'resume', value: { object: web } });
    t.notOk((await live(deploymentPath))['spec']?.['paused']);
    const shared = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'default', name: 'made' };
    t.match(await run({ case: 'restart', value: { object: shared } }), { status: 400, message: /ConfigMap/ });
    t.match(await run({ case: 'scale', value: { object: shared, replicas: 1 } }), { status: 404 });
  });

  await t.test('undo goes back to the template before, or to a revision', async (t) => {
    const revisionAfter = (known: number): Promise<number> =>
      waitFor(async () => {
        const { metadata } = await live(deploymentPath);
        const revision = Number(metadata?.['annotations']?.['deployment.kubernetes.io/revision'] ?? 0);
        return revision > known && revision;
      }, patience);
    const first = await revisionAfter(0);
    await deploy(deployment('two'), { forceConflicts: true });
    const second = await revisionAfter(first);
    const [undone] = objectsOf(await run({ case: 'undo', value: { object: web } }));
    t.match(undone, { spec: { template: { spec: { containers: [{ image: 'one' }] } } } });
    await revisionAfter(second);
    const [again] = objectsOf(await run({ case: 'undo', value: { object: web, revision: BigInt(second) } }));
    t.match(again, { spec: { template: { spec: { containers: [{ image: 'two' }] } } } });
    t.match(await run({ case: 'undo', value: { object: web, revision: 99n } }), {
      status: 404,
      message: 'unable to find specified revision 99 in history',
    });
  });

  await t.test('undo of a StatefulSet', async (t) => {
    const path = '/apis/apps/v1/namespaces/default/statefulsets/db';
    const labels = { app: 'db' };
    const manifest = (image: string): object => ({
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'db', namespace: 'default' },
      spec: {
        serviceName: 'db',
        replicas: 0,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'main', image }] } },
      },
    });
    const updated = async () => (await live(path))['status']?.['updateRevision'];
    await deploy(manifest('one'));
    const first = await waitFor(updated, patience);
    await deploy(manifest('two'));
    await waitFor(async () => (await updated()) !== first, patience);
    const object = { apiVersion: 'apps/v1', kind: 'StatefulSet', namespace: 'default', name: 'db' };
    const [undone] = objectsOf(await run({ case: 'undo', value: { object } }));
    t.match(undone, { spec: { template: { spec: { containers: [{ image: 'one' }] } } } });
  });

  await t.test('a job is created with a generated name', async (t) => {
    const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'none' }] } };
    const job = { apiVersion: 'batch/v1', kind: 'Job', metadata: { generateName: 'run-' }, spec: { template } };
    t.match(objectsOf(await run({ case: 'runJob', value: { manifest: bytes(job) } })), [
      { metadata: { name: /^run-./ } },
    ]);
    t.match(await run({ case: 'runJob', value: { manifest: bytes(configMap('x', {})) } }), { status: 400 });
  });

  await t.test('access review, and logs without a kubelet', async (t) => {
    const review = await run({ case: 'accessReview', value: { verb: 'get', resource: 'pods' } });
    t.match(review.body, { case: 'accessReview', value: { allowed: true } });
    const object = { kind: 'Pod', namespace: 'default', name: 'none' };
    t.match(await run({ case: 'logs', value: { object } }), { status: 404, message: 'pods "none" not found' });
    t.match(await run({ case: 'logs', value: { object: web } }), { status: 400, message: /has no logs/ });
  });

  await t.test('delete by name waits until it is gone; by selector takes all that match', async (t) => {
    const value = { object: web, propagation: Delete_Propagation.FOREGROUND, wait: true };
    const deleted = await run({ case: 'delete', value });
    t.match(objectsOf(deleted), [{ metadata: { name: 'web' } }]);
    t.match(await run({ case: 'get', value: { object: web } }), { status: 404 });
    const sets = '/apis/apps/v1/namespaces/default/replicasets?labelSelector=app%3Dweb';
    t.strictSame((await live(sets))['items'], []);
    for (const name of ['x', 'y']) await deploy(configMap(name, {}, { labels: { batch: 'yes' } }));
    const object = { kind: 'ConfigMap', namespace: 'default' };
    const both = await run({ case: 'delete', value: { object, labelSelector: 'batch=yes' } });
    t.equal(objectsOf(both).length, 2);
    t.match(await run({ case: 'delete', value: { object: { ...object, name: 'x' } } }), { status: 404 });
    t.match(await run({ case: 'delete', value: { object } }), { status: 400, message: /label_selector/ });
    await deploy(configMap('held', {}, { finalizers: ['example.com/held'] }));
    const held = run({ case: 'delete', value: { object: { ...object, name: 'held' }, wait: true } }, 'prod', 1_500);
    await t.rejects(held, { name: 'TimeoutError' });
  });

  await t.test('an account of some namespaces covers no others', async (t) => {
    addCluster('team', { namespaces: ['default'], onlyNamespacedResources: true });
    const elsewhere = { kind: 'ConfigMap', namespace: 'kube-system', name: 'x' };
    t.match(await run({ case: 'get', value: { object: elsewhere } }, 'team'), {
      status: 403,
      message: /does not cover/,
    });
    const node = { kind: 'Namespace', name: 'default' };
    t.match(await run({ case: 'get', value: { object: node } }, 'team'), { status: 403 });
    const listed = await run({ case: 'list', value: { object: { kind: 'ConfigMap' } } }, 'team');
    t.match(
      objectsOf(listed),
      objectsOf(listed).map(() => ({ metadata: { namespace: 'default' } })),
    );
  });

  await t.test('without permission Kubernetes says so', async (t) => {
    addCluster('guest', { credentials: { kubeconfigFile: await kubernetes.kubeconfigFor('default', 'default') } });
    const refused = await run({ case: 'get', value: { object: { kind: 'ConfigMap', name: 'made' } } }, 'guest');
    t.match(refused, { status: 403, reason: 'Forbidden', message: /^configmaps "made" is forbidden/ });
  });

  await t.test('a server that is not there is 503, after retries', async (t) => {
    addCluster('gone', {
      credentials: {
        kubeconfig:
          '{clusters: [{name: a, cluster: {server: "http://127.0.0.1:1"}}], contexts: [{name: a, context: {cluster: a}}], current-context: a}',
      },
    });
    const refused = await run({ case: 'get', value: { object: { kind: 'ConfigMap', name: 'made' } } }, 'gone');
    t.match(refused, { status: 503, reason: 'ServiceUnavailable', message: /ECONNREFUSED/ });
  });
});
