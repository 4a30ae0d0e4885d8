/** What is read of an object: its id, application and relations; what is dropped of Secrets; what is refused. */

import { test } from 'tap';
import { KindFilter, kindName } from '../../../src/gateway/caching/kinds.js';
import { readKubernetesObject } from '../../../src/gateway/caching/kubernetes-object.js';

const pods = { account: 'prod', apiVersion: 'v1', kind: 'Pod', namespace: '' };
const read = (object: unknown, scope = pods) => readKubernetesObject(scope, Buffer.from(JSON.stringify(object)));
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

test('names of kinds', (t) => {
  t.equal(kindName('apps/v1', 'ReplicaSet'), 'replicaSet');
  t.equal(kindName('v1', 'Pod'), 'pod');
  t.equal(kindName('apiextensions.k8s.io/v1', 'CustomResourceDefinition'), 'customResourceDefinition');
  t.equal(kindName('serving.knative.dev/v1', 'Service'), 'service.serving.knative.dev');
  t.end();
});

test('which kinds are cached', (t) => {
  const some = new KindFilter({
    cacheAll: false,
    cacheKinds: ['replicaSet', 'Certificate.cert-manager.io'],
    cacheOmitKinds: [],
  });
  t.ok(some.has('apps/v1', 'ReplicaSet'));
  t.notOk(some.has('v1', 'Pod'));
  t.ok(some.has('cert-manager.io/v1', 'Certificate'));
  t.notOk(some.has('other.example/v1', 'Certificate'));
  const all = new KindFilter({ cacheAll: true, cacheKinds: [], cacheOmitKinds: ['Secret'] });
  t.ok(all.has('v1', 'Pod'));
  t.notOk(all.has('v1', 'Secret'));
  t.end();
});

test('ids, applications and relations', (t) => {
  const object = {
    metadata: {
      name: 'web-1-a',
      namespace: 'shop',
      labels: { 'app.kubernetes.io/name': 'fallback' },
      annotations: { 'moniker.spinnaker.io/application': 'web' },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-1', controller: true },
        { apiVersion: 'v1', kind: 'Node', name: 'node-7' },
        { apiVersion: 'v1', kind: 'Pod' },
      ],
    },
  };
  const result = read(object);
  t.equal(result.id, 'kubernetes.v2:infrastructure:pod:prod:shop:web-1-a');
  t.equal(result.application, 'web');
  t.same(result.relations, [
    { id: 'kubernetes.v2:infrastructure:replicaSet:prod:shop:web-1', type: 'replicaSet' },
    { id: 'kubernetes.v2:infrastructure:node:prod::node-7', type: 'node' },
    { id: 'kubernetes.v2:logical:applications:web', type: 'applications' },
  ]);
  t.equal(text(result.body), JSON.stringify(object), 'the body is what was sent');
  const { labels } = object.metadata;
  t.equal(read({ metadata: { name: 'x', labels } }).application, 'fallback');
  const bare = read({ metadata: { name: 'node-7' } }, { ...pods, kind: 'Node' });
  t.match(bare, { id: 'kubernetes.v2:infrastructure:node:prod::node-7', namespace: '', relations: [] });
  t.equal(bare.application, undefined);
  t.end();
});

test('the data of Secrets is dropped, wherever it is', (t) => {
  const secrets = { ...pods, kind: 'Secret' };
  const hidden = 'aHVudGVyMg==';
  const applied = JSON.stringify({ kind: 'Secret', metadata: { name: 's', annotations: {} }, data: { p: hidden } });
  const lastApplied = { 'kubectl.kubernetes.io/last-applied-configuration': applied, kept: 'yes' };
  const metadata = { name: 's', annotations: lastApplied };
  const body = text(
    read({ kind: 'Secret', metadata, type: 'Opaque', data: { p: hidden }, stringData: { q: hidden } }, secrets).body,
  );
  t.notMatch(body, hidden);
  t.match(JSON.parse(body), { type: 'Opaque', metadata: { annotations: { kept: 'yes' } } });
  for (const broken of [hidden, `{"data":"${hidden}`, JSON.stringify([hidden])]) {
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': broken };
    const other = text(read({ metadata: { name: 's', annotations } }, { ...secrets, kind: 'SECRET' }).body);
    t.notMatch(other, hidden, 'what cannot be understood goes');
  }
  t.end();
});

test('what is refused, without a word of its content', (t) => {
  const raw = (bytes: Uint8Array) => () => readKubernetesObject(pods, bytes);
  const hidden = 'hunter2';
  for (const [bytes, why] of [
    [Buffer.from(`{"${hidden}`), /not JSON/u],
    [Buffer.from([0x7b, 0xff, 0x7d]), /not UTF-8/u],
    [Buffer.from('[]'), /not a JSON object/u],
    [Buffer.from('{}'), /must be valid names/u],
    [Buffer.from('{"metadata":{"name":"a\\u0000b"}}'), /must be valid names/u],
    [Buffer.from('{"metadata":{"name":"a\\ud800"}}'), /must be valid names/u],
    [Buffer.from('{"kind":"Secret","metadata":{"name":"a"}}'), /received an object of kind Secret as Pod/u],
    [Buffer.from(`{"metadata":{"name":"${'a'.repeat(700)}"}}`), /too long/u],
    [Buffer.alloc(5 << 20), /are allowed/u],
  ] as const) {
    t.throws(raw(bytes), { message: why });
    try {
      raw(bytes)();
    } catch (error) {
      t.notMatch(String(error), hidden);
    }
  }
  t.throws(() => read({ metadata: { name: 'a', namespace: 'b' } }, { ...pods, namespace: 'shop' }), {
    message: /for namespace shop/u,
  });
  t.end();
});
