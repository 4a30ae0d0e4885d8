/** Client-side apply against a real API server, beside `kubectl apply` itself: the same objects come of the same steps. */

import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { test } from 'tap';
import { Cluster } from '../../../src/agent/kubernetes/cluster.js';
import { createExecute } from '../../../src/agent/kubernetes/execute.js';
import { silentLogger } from '../../../src/core/logger.js';
import { defaultRetries } from '../../../src/agent/kubernetes/retries.js';
import { PatchSchema } from '../../../src/agent/kubernetes/patch-schema.js';
import { threeWayPatch } from '../../../src/agent/kubernetes/three-way-patch.js';
import type { JsonObject } from '../../../src/documents/exact-json.js';
import { Deploy_Mode, OperationSchema } from '../../../src/protocol/generated/ops/operations_pb.js';
import { kubernetesPrograms } from '../../services/kubernetes-program.js';
import { startKubernetes } from '../../services/kubernetes.js';
import { clusterTools } from '../../services/helm.js';

const programs = await kubernetesPrograms();
const tools = await clusterTools();
const missing = [programs, tools].find((tool) => typeof tool === 'string');

interface Steps {
  readonly kind: string;
  /** Applied one after the other; between them, someone else patches the live object. */
  readonly manifests: readonly object[];
  readonly patch: object;
}

const labels = { app: 'a' };
const pod = (spec: object) => ({ metadata: { labels }, spec });
const deployment = (spec: object) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { annotations: { note: 'x' } },
  spec: { selector: { matchLabels: labels }, ...spec },
});
const container = (name: string, more: object = {}) => ({ name, image: 'one', ...more });
const variable = (name: string, value: string) => ({ name, value });

const cases: Record<string, Steps> = {
  'lists by key: an item changed, one removed, one of somebody else kept': {
    kind: 'deployment',
    manifests: [
      deployment({
        template: pod({
          containers: [container('a', { env: [variable('X', '1'), variable('Y', '2')] }), container('b')],
        }),
      }),
      deployment({ template: pod({ containers: [container('a', { image: 'two', env: [variable('X', '3')] })] }) }),
    ],
    patch: {
      spec: {
        replicas: 5,
        template: { spec: { containers: [container('sidecar'), container('a', { env: [variable('Z', '9')] })] } },
      },
    },
  },
  'a union of which another part is chosen': {
    kind: 'deployment',
    manifests: [
      deployment({
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 2 } },
        template: pod({ containers: [container('a')] }),
      }),
      deployment({ strategy: { type: 'Recreate' }, template: pod({ containers: [container('a')] }) }),
    ],
    patch: { metadata: { labels: { theirs: 'yes' } } },
  },
  'maps: a key removed, one of somebody else kept': {
    kind: 'configmap',
    manifests: [{ a: '1', b: '2' }, { a: '3' }].map((data) => ({ apiVersion: 'v1', kind: 'ConfigMap', data })),
    patch: { data: { theirs: 'yes' } },
  },
  'a custom resource, whose lists are replaced': {
    kind: 'widget',
    manifests: [[{ name: 'a' }, { name: 'b' }], [{ name: 'b', size: 2 }]].map((parts) => ({
      apiVersion: 'example.com/v1',
      kind: 'Widget',
      spec: { parts, colour: 'red' },
    })),
    patch: { spec: { parts: [{ name: 'theirs' }], shape: 'round' } },
  },
};

test('client-side apply', { skip: missing ?? false }, async (t) => {
  const kubernetes = await startKubernetes(programs, { controllers: false });
  t.teardown(() => kubernetes.stop());
  const { api } = kubernetes;
  if (typeof tools === 'string') throw new Error(tools);
  const kubectl = (args: readonly string[], stdin?: string): Promise<string> =>
    tools.kubectl(['--kubeconfig', kubernetes.adminKubeconfig, ...args], stdin === undefined ? {} : { stdin });
  const cluster = new Cluster({
    name: 'prod',
    credentials: { kubeconfigFile: kubernetes.adminKubeconfig },
    namespaces: [],
    omitNamespaces: [],
    onlyNamespacedResources: false,
    serverSideApply: 'never',
    requestTimeoutMs: 20_000,
  });
  t.teardown(() => cluster.close());
  const execute = createExecute({
    clusterOf: () => cluster,
    fieldManager: 'agent',
    retries: defaultRetries,
    logger: silentLogger,
  });
  const apply = async (manifest: object, mode: Deploy_Mode): Promise<void> => {
    const value = { manifest: Buffer.from(JSON.stringify(manifest)), mode };
    const operation = create(OperationSchema, { id: 'x', account: 'prod', request: { case: 'deploy', value } });
    const signal = AbortSignal.timeout(120_000);
    const { status, message } = await execute(operation, { signal });
    if (status !== 200) throw new Error(`${String(status)} ${message ?? ''}`);
  };
  const names = { plural: 'widgets', singular: 'widget', kind: 'Widget' };
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  await api.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      names,
      scope: 'Namespaced',
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  });
  await kubectl(['wait', '--for=condition=Established', 'crd/widgets.example.com', '--timeout=20s']);

  for (const [name, { kind, manifests, patch }] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const named = (manifest: object, name: string): object => {
        const { metadata = {} } = manifest as { metadata?: object };
        return { ...manifest, metadata: { ...metadata, name, namespace: 'default' } };
      };
      const [first = {}, second = {}] = manifests;
      const theirs = async (name: string): Promise<void> => {
        const type = kind === 'widget' ? 'merge' : 'strategic';
        await kubectl(['patch', kind, name, '--type', type, '-p', JSON.stringify(patch)]);
      };
      const result = async (name: string): Promise<unknown> => {
        const { metadata, spec, data } = JSON.parse(await kubectl(['get', kind, name, '-o', 'json'])) as Record<
          string,
          Record<string, unknown>
        >;
        const { 'kubectl.kubernetes.io/last-applied-configuration': applied, ...annotations } = (metadata?.[
          'annotations'
        ] ?? {}) as Record<string, string>;
        const { clusterIP: _, clusterIPs: __, ...rest } = spec ?? {};
        return {
          labels: metadata?.['labels'],
          annotations,
          applied: applied?.replaceAll(name, 'NAME'),
          spec: rest,
          data,
        };
      };
      for (const manifest of [first, second]) {
        await kubectl(['apply', '-f', '-'], JSON.stringify(named(manifest, 'by-kubectl')));
        await apply(named(manifest, 'by-agent'), Deploy_Mode.CLIENT_SIDE_APPLY);
        if (manifest === first) for (const name of ['by-kubectl', 'by-agent']) await theirs(name);
      }
      t.strictSame(await result('by-agent'), await result('by-kubectl'));
      const version = () => kubectl(['get', kind, 'by-agent', '-o', 'jsonpath={.metadata.resourceVersion}']);
      const before = await version();
      await apply(named(second, 'by-agent'), Deploy_Mode.UNSPECIFIED);
      t.equal(await version(), before, 'what is applied already changes nothing');
    });
  }
});

test('ports of one number and two protocols, which the merge key cannot tell apart, are written whole', (t) => {
  // kubectl mixes them up (kubernetes/kubernetes#39188).
  const port = (name: string, protocol: string) => ({ name, port: 53, protocol });
  const schema = new PatchSchema(
    {},
    {
      properties: {
        ports: { items: {}, 'x-kubernetes-patch-strategy': 'merge', 'x-kubernetes-patch-merge-key': 'port' },
      },
    },
  );
  const original = { ports: [port('a', 'TCP'), port('b', 'UDP')] };
  const modified = { ports: [port('a', 'TCP'), port('b', 'SCTP')] };
  t.strictSame(threeWayPatch({ original, modified, current: original }, schema), {
    ports: [{ $patch: 'replace' }, ...modified.ports],
  });
  t.strictSame(threeWayPatch({ original, modified: original, current: original }, schema), {});
  t.end();
});

test('a JSON merge patch of three versions leads to what is to be', (t) => {
  const leaf = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.array(fc.integer(), { maxLength: 3 }));
  const key = fc.constantFrom('a', 'b', 'c');
  const object = fc.letrec<{ node: unknown; object: JsonObject }>((tie) => ({
    node: fc.oneof({ maxDepth: 3 }, leaf, tie('object')),
    object: fc.dictionary(key, tie('node'), { maxKeys: 3, noNullPrototype: true }),
  })).object;
  fc.assert(
    fc.property(object, object, object, (original, modified, current) => {
      const result = merged(current, threeWayPatch({ original, modified, current }, undefined));
      return holds(modified, result) && Object.keys(original).every((name) => name in modified || !(name in result));
    }),
  );
  t.end();
});

/** RFC 7386. */
function merged(target: unknown, patch: unknown): JsonObject {
  const result = { ...(isObject(target) ? target : {}) } as Record<string, unknown>;
  for (const [name, value] of Object.entries(patch as JsonObject)) {
    if (value === null) Reflect.deleteProperty(result, name);
    else result[name] = isObject(value) ? merged(result[name], value) : value;
  }
  return result;
}

/** Whether all that was asked for is there. */
function holds(wanted: unknown, found: unknown): boolean {
  if (!isObject(wanted)) return JSON.stringify(wanted) === JSON.stringify(found);
  return isObject(found) && Object.entries(wanted).every(([name, value]) => holds(value, found[name]));
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
