/** Which kinds a cluster has: kinds that are new, that have changed, and several resources of one kind. */

import { test } from 'tap';
import { ApiResources } from '../../../src/agent/kubernetes/api-resources.js';
import { Deploy_Mode } from '../../../src/protocol/generated/ops/operations_pb.js';
import { runOn, startApiDouble } from './api-double.js';
import { bytes, missing, startRealCluster, type Request } from './real-cluster.js';

const never = AbortSignal.timeout(60_000);

test('of two resources of one kind, the one that can be got and patched', async (t) => {
  const resource = (name: string, verbs: readonly string[]) => ({ name, kind: 'Template', namespaced: true, verbs });
  const answer = JSON.stringify({ metadata: { name: 'a' } });
  const { cluster, requests } = await startApiDouble(t, (_, response) => response.end(answer), {
    '/apis': { groups: [{ name: 'template.openshift.io', versions: [{ version: 'v1' }] }] },
    '/apis/template.openshift.io/v1': {
      resources: [
        resource('processedtemplates', ['create']),
        resource('templates', ['create', 'get', 'patch', 'list']),
      ],
    },
  });
  const manifest = bytes({ apiVersion: 'template.openshift.io/v1', kind: 'Template', metadata: { name: 'a' } });
  t.match(await runOn(cluster, { case: 'deploy', value: { manifest } }), { status: 200 });
  const object = { kind: 'Template', namespace: 'default', name: 'a' };
  t.match(await runOn(cluster, { case: 'get', value: { object } }), { status: 200 });
  t.strictSame([...new Set(requests.map((line) => /namespaces\/default\/(\w+)/.exec(line)?.[1]))], ['templates']);
});

test('who joins a reading that another has begun gets its own answer when that one gives up', async (t) => {
  const { cluster } = await startApiDouble(t, (_, response) => response.end('{}'));
  const resources = new ApiResources(cluster.client);
  const first = new AbortController();
  const both = [resources.find('v1', 'Pod', first.signal), resources.find('v1', 'Pod', never)] as const;
  first.abort(new Error('given up'));
  await t.rejects(both[0], { message: 'given up' });
  t.match(await both[1], { name: 'pods' });
});

test('discovery of a real API server', { skip: missing }, async (t) => {
  const { kubernetes, kubectl, run, deploy } = await startRealCluster(t);
  const definition = (kind: string, scope: string) => {
    const singular = kind.toLowerCase();
    return {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `${singular}s.example.com` },
      spec: {
        group: 'example.com',
        names: { plural: `${singular}s`, singular, kind },
        scope,
        versions: [
          {
            ...{ name: 'v1', served: true, storage: true },
            schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        ],
      },
    };
  };
  const established = async (kind: string, scope = 'Namespaced'): Promise<void> => {
    await deploy(definition(kind, scope));
    await kubectl(['wait', '--for=condition=Established', `crd/${kind.toLowerCase()}s.example.com`, '--timeout=20s']);
  };
  const first = (kind: string, name = 'a') => ({
    apiVersion: 'example.com/v1',
    kind,
    metadata: { name },
    spec: { a: 1 },
  });

  await t.test(
    'the first object of a kind goes through at once, for one kind after the other and every request',
    async (t) => {
      for (const [mode, kind] of ['Alpha', 'Beta', 'Gamma', 'Delta'].entries()) {
        await established(kind);
        t.match(await deploy(first(kind), { mode }), { status: 200 }, `${Deploy_Mode[mode] ?? ''} ${kind}`);
      }
      const object = { apiVersion: 'example.com/v1', kind: '', namespace: 'default', name: 'a' };
      const requests: Record<string, (object: { readonly kind: string; readonly name: string }) => Request> = {
        Epsilon: (object) => ({ case: 'get', value: { object } }),
        Zeta: (object) => ({ case: 'list', value: { object } }),
        Eta: (object) => ({ case: 'patch', value: { object, type: 2, patch: bytes({ spec: { a: 2 } }) } }),
        Theta: (object) => ({ case: 'delete', value: { object } }),
      };
      for (const [kind, request] of Object.entries(requests)) {
        await established(kind);
        await kubectl(['create', '-f', '-'], first(kind));
        t.match(await run(request({ ...object, kind })), { status: 200 }, kind);
      }
    },
  );

  await t.test('a kind that is none is told as kubectl tells it', async (t) => {
    const missing = { apiVersion: 'example.com/v1', kind: 'Nothing', name: 'a' };
    const expected = {
      status: 404,
      reason: 'NotFound',
      message: 'no matches for kind "Nothing" in version "example.com/v1"',
    };
    t.match(await run({ case: 'get', value: { object: missing } }), expected);
  });

  await t.test('a kind that was made anew in another scope is looked up anew', async (t) => {
    await established('Moved');
    t.match(await deploy(first('Moved')), { status: 200 });
    await kubectl(['delete', 'crd', 'moveds.example.com', '--wait']);
    await established('Moved', 'Cluster');
    t.match(await deploy(first('Moved')), { status: 200 });
    t.match(await kubernetes.api.get('/apis/example.com/v1/moveds/a'), { metadata: { name: 'a' } });
    await kubectl(['delete', 'crd', 'moveds.example.com', '--wait']);
    t.match(await deploy(first('Moved')), { status: 404, message: /no matches for kind "Moved"/ });
  });
});
