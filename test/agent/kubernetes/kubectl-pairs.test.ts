/** Every mode of a deploy beside kubectl: of the same manifests, one version after the other, come the same objects. */

import { test } from 'tap';
import { lastAppliedAnnotation } from '../../../src/kubernetes/client.js';
import type { Execution } from '../../../src/agent/operation-results.js';
import { Deploy_Mode } from '../../../src/protocol/generated/ops/operations_pb.js';
import { pairs } from './manifest-pairs.js';
import type { Pair } from './manifest-shapes.js';
import { agentManager, missing, startRealCluster, type Json, type RealCluster } from './real-cluster.js';

const sides = ['side-agent', 'side-kubectl'] as const;
type Side = (typeof sides)[number];

const serverSide = ['apply', '--server-side', '--field-manager', agentManager, '--force-conflicts'];

/** For a first and a second version: kubectl's command, and what is compared with it, a mode of ours or kubectl again. */
const modes: Readonly<Record<string, readonly (readonly [readonly string[], Deploy_Mode | readonly string[]])[]>> = {
  'client-side apply': [
    [['apply'], Deploy_Mode.CLIENT_SIDE_APPLY],
    [['apply'], Deploy_Mode.CLIENT_SIDE_APPLY],
  ],
  'server-side apply': [
    [serverSide, Deploy_Mode.UNSPECIFIED],
    [serverSide, Deploy_Mode.UNSPECIFIED],
  ],
  'create, then replace': [
    [['create'], Deploy_Mode.CREATE],
    [['replace'], Deploy_Mode.REPLACE],
  ],
  'server-side apply of what kubectl applied on the client': [
    [serverSide, ['apply']],
    [serverSide, Deploy_Mode.UNSPECIFIED],
  ],
};

/**
 * Where an object that was applied on the client ends otherwise than one that never was: kubectl's own apply on the server
 * does not remove what came from `stringData`, and keeps defaults that the API then refuses.
 */
const otherwise = new Set(['secret: data and stringData', 'stateful set']);

test('there are 60 pairs of manifests at least', (t) => {
  t.ok(Object.keys(pairs).length >= 60, String(Object.keys(pairs).length));
  t.end();
});

test('deploy beside kubectl', { skip: missing }, async (t) => {
  const real = await startRealCluster(t);
  const { kubernetes, kubectl, deploy } = real;
  for (const name of sides) await kubernetes.api.post('/api/v1/namespaces', { metadata: { name } });
  await makeWidgets(real);

  for (const [modeNumber, [mode, steps]] of Object.entries(modes).entries()) {
    await t.test(mode, async (t) => {
      const named = (side: Side, version: 0 | 1): Json[] =>
        Object.values(pairs).map((pair, index) =>
          manifest(pair, side, version, `p${String(modeNumber)}-${String(index)}`),
        );
      const handedOver = steps.some(([, ours]) => typeof ours === 'object');
      // Some versions are refused, on both sides.
      const byKubectl = (command: readonly string[], items: readonly Json[]): Promise<unknown> =>
        kubectl([...command, '--validate=ignore', '-f', '-'], { apiVersion: 'v1', kind: 'List', items }).catch(
          () => '',
        );
      for (const [version, [command, ours]] of steps.entries()) {
        const [mine, kubectls] = sides.map((side) => named(side, version as 0 | 1)) as [Json[], Json[]];
        await byKubectl(command, kubectls);
        const results: Execution[] = [];
        if (typeof ours === 'object') await byKubectl(ours, mine);
        else for (const item of mine) results.push(await deploy(item, { mode: ours, forceConflicts: true }));
        for (const [index, [name, { theirs }]] of Object.entries(pairs).entries()) {
          const items = [mine[index], kubectls[index]] as [Json, Json];
          const found = await Promise.all(items.map((item, at) => seen(real, sides[at] as Side, item, handedOver)));
          const { status = 0, message = '' } = results[index] ?? {};
          if (typeof ours === 'number' && !(handedOver && otherwise.has(name))) {
            t.strictSame(found[0], found[1], `${name}, version ${String(version + 1)}: ${String(status)} ${message}`);
          }
          t.not(status, 500, message);
          if (version === 0 && theirs !== undefined) {
            for (const item of items) await kubernetes.api.patch(await pathOf(real, item), theirs);
          }
        }
      }
      if (mode !== 'client-side apply') return;
      for (const [index, [name]] of Object.entries(pairs).entries()) {
        const item = named('side-agent', 1)[index] as Json;
        const path = await pathOf(real, item);
        const before = await kubernetes.api.get<Json>(path);
        await deploy(item, { mode: Deploy_Mode.CLIENT_SIDE_APPLY });
        const after = await kubernetes.api.get<Json>(path);
        t.equal(
          after['metadata']?.['generation'],
          before['metadata']?.['generation'],
          `${name}: applied again, nothing changes`,
        );
      }
    });
  }
});

function manifest({ apiVersion, kind, cluster, versions }: Pair, side: Side, version: 0 | 1, name: string): Json {
  const { metadata, ...body } = versions[version] as { metadata?: object };
  const place = cluster === true ? { name: `${name}-${side}` } : { name, namespace: side };
  return { apiVersion, kind, metadata: { ...metadata, ...place }, ...body } as unknown as Json;
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

const paths = new Map<string, string>();

/** As the API server has it. */
async function pathOf({ kubernetes }: RealCluster, item: Json): Promise<string> {
  const { apiVersion, kind, metadata } = item as unknown as Manifest;
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  if (!paths.has(`${group} ${kind}`)) {
    const { resources } = await kubernetes.api.get<{ resources: { name: string; kind: string }[] }>(group);
    for (const one of resources) if (!one.name.includes('/')) paths.set(`${group} ${one.kind}`, one.name);
  }
  const { name, namespace } = metadata;
  const place = namespace === undefined ? '' : `/namespaces/${namespace}`;
  return `${group}${place}/${paths.get(`${group} ${kind}`) ?? ''}/${name}`;
}

/** What both have to agree on: all but what the server makes up for each object. */
async function seen(real: RealCluster, side: Side, item: Json, handedOver: boolean): Promise<unknown> {
  const object = await real.kubernetes.api.get<Json>(await pathOf(real, item)).catch((error: unknown) => String(error));
  if (typeof object === 'string') return object.replaceAll(side, 'SIDE');
  const without = (value: unknown, ...names: readonly string[]): Record<string, unknown> =>
    Object.fromEntries(Object.entries(value ?? {}).filter(([name]) => !names.includes(name)));
  const made = ['managedFields', 'uid', 'resourceVersion', 'creationTimestamp', 'generation'];
  const metadata = without(object['metadata'], ...made);
  // Of a version that is refused nothing changes, not even this.
  if (handedOver) delete (metadata['annotations'] as Record<string, unknown> | undefined)?.[lastAppliedAnnotation];
  if (Object.keys(metadata['annotations'] ?? {}).length === 0) delete metadata['annotations'];
  const spec = without(object['spec'], 'clusterIP', 'clusterIPs', 'healthCheckNodePort');
  const text = JSON.stringify({ ...object, metadata, spec });
  return JSON.parse(
    text
      .replaceAll(new RegExp(`\\b${side}\\b`, 'gu'), 'SIDE')
      .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gu, 'UID')
      .replaceAll(/"nodePort":\d+/gu, '"nodePort":0')
      .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/gu, 'TIME'),
  );
}

async function makeWidgets({ kubernetes, kubectl }: RealCluster): Promise<void> {
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  await kubernetes.api.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      names: { plural: 'widgets', singular: 'widget', kind: 'Widget' },
      scope: 'Namespaced',
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  });
  await kubectl(['wait', '--for=condition=Established', 'crd/widgets.example.com', '--timeout=20s']);
}
