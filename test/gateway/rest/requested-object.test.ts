/** What the record of an operation says of its object: names and mode, read from a manifest without parsing it. */

import { create, fromJson, type JsonValue } from '@bufbuild/protobuf';
import { test } from 'tap';
import { requestedObject } from '../../../src/gateway/rest/requested-object.js';
import { OperationSchema } from '../../../src/protocol/generated/ops/operations_pb.js';

const web = { group: 'apps', kind: 'Deployment', resource: 'deployments', namespace: 'shop', name: 'web' };
const reference = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'shop', name: 'web' };

function asked(request: object) {
  return requestedObject(fromJson(OperationSchema, request as JsonValue));
}

function deployed(manifest: string, more: object = {}) {
  return asked({ deploy: { manifest: Buffer.from(manifest).toString('base64'), ...more } });
}

test('each request names its object, and how it is done', async (t) => {
  t.same(asked({ restart: { object: reference } }).object, web);
  t.same(asked({ get: { object: reference } }), { object: web });
  t.same(asked({ scale: { object: reference, replicas: 3 } }), { object: web, mode: 'replicas=3' });
  t.same(asked({ scale: { object: reference } }).mode, 'replicas=0');
  t.same(asked({ undo: { object: reference, revision: '7' } }).mode, 'revision=7');
  t.same(asked({ patch: { object: reference, type: 'TYPE_MERGE', patch: '', dryRun: true } }), {
    object: web,
    mode: 'merge, dry-run',
  });
  t.same(asked({ delete: { object: { kind: 'Pod', namespace: 'shop' }, labelSelector: 'app=web' } }).object, {
    group: '',
    kind: 'Pod',
    resource: 'pods',
    namespace: 'shop',
    name: '',
    selector: 'app=web',
  });
  t.equal(
    asked({ list: { object: { kind: 'Pod' }, labelSelector: 'a=b', fieldSelector: 'c=d' } }).object?.selector,
    'a=b; c=d',
  );
  t.match(asked({ get: { object: { kind: 'certificate.cert-manager.io', name: 'tls' } } }).object, {
    group: 'cert-manager.io',
    kind: 'certificate',
    resource: 'certificates',
  });
  t.same(asked({ accessReview: { verb: 'create', resource: 'pods', subresource: 'exec', namespace: 'shop' } }), {
    object: { group: '', resource: 'pods/exec', namespace: 'shop', name: '' },
    mode: 'verb=create',
  });
  t.same(requestedObject(create(OperationSchema)), {});
  t.same(asked({ restart: {} }).object, undefined);
});

test('a manifest is read as far as its names', async (t) => {
  const manifest = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', namespace: 'shop' } };
  t.same(deployed(JSON.stringify(manifest)), { object: web, mode: 'server-side-apply' });
  t.equal(deployed('{}', { mode: 'MODE_CREATE', dryRun: true }).mode, 'create, dry-run');
  t.same(
    deployed(JSON.stringify({ spec: { metadata: { name: 'no' }, kind: 'No' }, ...manifest }, null, 2)).object,
    web,
  );
  t.same(deployed(`${JSON.stringify(manifest).slice(0, -1)},"spec":{"broken`).object, web, 'stops before the spec');
  t.equal(
    deployed(
      '{"kind":"Secret","apiVersion":"v1","data":{"a":"eyJ9In0="},"metadata":{"labels":{"name":"x"},"name":"a\\u0062\\"c"}}',
    ).object?.name,
    'ab"c',
  );
  t.equal(deployed('{"apiVersion":"batch/v1","kind":"Job","metadata":{"generateName":"job-"}}').object?.name, 'job-*');
});

test('a list tells its first object, and a limited number of others', async (t) => {
  const item = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'shop' } });
  const list = (count: number) => ({
    apiVersion: 'v1',
    kind: 'List',
    items: Array.from({ length: count }, (_, index) => item(`c${String(index)}`)),
  });
  t.match(deployed(JSON.stringify(list(2))).object, {
    kind: 'ConfigMap',
    name: 'c0',
    others: ['ConfigMap shop/c1'],
  });
  const many = deployed(JSON.stringify(list(30))).object?.others ?? [];
  t.equal(many.length, 10);
  t.equal(many.at(-1), 'and 20 more');
  const typed = { items: [{ metadata: { name: 'web' } }], kind: 'DeploymentList', apiVersion: 'apps/v1' };
  t.match(deployed(JSON.stringify(typed)).object, { group: 'apps', kind: 'Deployment', name: 'web' });
});

test('anything else has no object, and makes no error', async (t) => {
  for (const text of [
    '',
    'null',
    '[]',
    '"x"',
    '{',
    '{"kind',
    '{"kind":"A","metadata":',
    'kind: Pod',
    '{"a":}',
    '{,}',
    '{"a":1}}',
  ])
    t.same(deployed(text).object, undefined, text);
  const deep = '['.repeat(100_000);
  t.same(deployed(`{"a":${deep}`).object, undefined);
  const far = JSON.stringify({ data: 'x'.repeat(300_000), kind: 'ConfigMap', metadata: { name: 'a' } });
  t.same(deployed(far).object, undefined, 'names far behind are not looked for');
});
