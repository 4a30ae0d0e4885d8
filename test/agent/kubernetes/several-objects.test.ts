/** Lists that are deployed and selections that are deleted: each object has an outcome, and none stops the others. */

import { test } from 'tap';
import type { Execution } from '../../../src/agent/operation-results.js';
import { Deploy_Mode } from '../../../src/protocol/generated/ops/operations_pb.js';
import { runOn, sendStatus, startApiDouble } from './api-double.js';
import { missing, objectsOf, startRealCluster, type Json } from './real-cluster.js';

const configMap = (name: string, data: object = { a: '1' }, labels: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', labels },
  data,
});

function outcomesOf({ body }: Execution): string[] {
  if (body?.case !== 'objects') return [];
  return body.value.outcomes.map(({ object, status, reason }) =>
    `${object?.kind ?? ''} ${object?.name ?? ''} ${String(status)} ${reason}`.trim(),
  );
}

test('several objects on a real API server', { skip: missing }, async (t) => {
  const { kubernetes, run, deploy } = await startRealCluster(t);
  const live = (name: string) => kubernetes.api.get<Json>(`/api/v1/namespaces/default/configmaps/${name}`);
  const list = (items: readonly object[], more: object = {}) => ({ apiVersion: 'v1', kind: 'List', items, ...more });

  await t.test('the items of a list are deployed, with and without metadata, in every mode', async (t) => {
    for (const [name, mode] of Object.entries(Deploy_Mode)) {
      if (typeof mode === 'string') continue;
      for (const more of [{}, { metadata: {} }, { metadata: { resourceVersion: '' } }]) {
        const names = ['a', 'b'].map((each) => `list-${each}-${String(mode)}-${String(Object.keys(more).length)}`);
        const unique = names.map((each) => `${each}-${'metadata' in more ? Object.keys(more.metadata).length : 0}`);
        const manifest = list(
          unique.map((each) => configMap(each)),
          more,
        );
        const result = await deploy(manifest, { mode });
        t.match(result, { status: 200 }, name);
        t.strictSame(
          objectsOf(result).map(({ metadata }) => metadata?.['name']),
          unique,
        );
        t.strictSame(
          outcomesOf(result),
          unique.map((each) => `ConfigMap ${each} 200`),
        );
        for (const each of unique) t.match(await live(each), { data: { a: '1' } });
      }
    }
  });

  await t.test('the items of a DeploymentList need not say what they are; lists may hold lists', async (t) => {
    const labels = { app: 'x' };
    const spec = {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'a', image: 'a' }] } },
    };
    const typed = { apiVersion: 'apps/v1', kind: 'DeploymentList', items: [{ metadata: { name: 'typed' }, spec }] };
    t.strictSame(outcomesOf(await deploy(typed)), ['Deployment typed 200']);
    const nested = list([configMap('outer'), list([configMap('inner')]), typed]);
    t.strictSame(outcomesOf(await deploy(nested)), [
      'ConfigMap outer 200',
      'ConfigMap inner 200',
      'Deployment typed 200',
    ]);
  });

  await t.test('an item that fails does not stop the others, and the whole has failed', async (t) => {
    const result = await deploy(
      list([configMap('first'), configMap('Not_A_Name'), { ...configMap('x'), kind: 'Widget' }, configMap('last')]),
    );
    t.match(result, {
      status: 422,
      reason: 'Invalid',
      message: /^2 of 4 objects failed: ConfigMap "Not_A_Name": .*; Widget "x": no matches/,
    });
    t.strictSame(outcomesOf(result), [
      'ConfigMap first 200',
      'ConfigMap Not_A_Name 422 Invalid',
      'Widget x 404 NotFound',
      'ConfigMap last 200',
    ]);
    for (const name of ['first', 'last']) t.match(await live(name), { data: { a: '1' } });
    t.match(await deploy(list([])), { status: 400, message: /manifest\.items: expected at least one object/ });
    const broken = await deploy(list([configMap('untouched'), { ...configMap('b'), metadata: null }]));
    t.match(broken, { status: 400, message: 'manifest.items[1].metadata: expected an object, found nothing' });
    await t.rejects(
      live('untouched'),
      { message: /not found/ },
      'what cannot be read is refused before anything is done',
    );
  });

  const object = { kind: 'ConfigMap', namespace: 'default' };

  await t.test('two deletions of one selection at once both succeed, and leave nothing', async (t) => {
    const names = Array.from({ length: 61 }, (_, index) => `both-${String(index)}`);
    for (const name of names)
      await kubernetes.api.post('/api/v1/namespaces/default/configmaps', configMap(name, {}, { batch: 'both' }));
    const deletion = () => run({ case: 'delete', value: { object, labelSelector: 'batch=both', wait: true } });
    const results = await Promise.all([deletion(), deletion()]);
    for (const result of results) t.match(result, { status: 200 });
    t.equal(Math.max(...results.map((result) => outcomesOf(result).length)), 61);
    const left = await kubernetes.api.get<Json>('/api/v1/namespaces/default/configmaps?labelSelector=batch%3Dboth');
    t.strictSame(left['items'], []);
  });

  await t.test('a deletion of more than a result can hold is told as done', async (t) => {
    const names = Array.from({ length: 120 }, (_, index) => `large-${String(index)}`);
    for (const name of names) {
      await kubernetes.api.post(
        '/api/v1/namespaces/default/configmaps',
        configMap(name, { a: 'x'.repeat(50_000) }, { batch: 'large' }),
      );
    }
    const result = await run({ case: 'delete', value: { object, labelSelector: 'batch=large' } });
    t.match(result, {
      status: 200,
      message: /^\d+ objects succeeded but are left out, because the result would be too large/,
    });
    t.equal(outcomesOf(result).length, 120);
    const size = objectsOf(result).reduce((sum, one) => sum + JSON.stringify(one).length, 0);
    t.ok(size < 4_000_000 && size > 1_000_000, String(size));
  });
});

test('by selector, gone is success, and another object of the name is not touched', async (t) => {
  const item = (name: string) => ({ metadata: { name, namespace: 'default', uid: `uid-${name}` } });
  const { cluster, requests } = await startApiDouble(t, ({ method, url = '' }, response) => {
    const name = /configmaps\/(\w+)/.exec(url)?.[1] ?? '';
    if (method === 'GET' && name === '') {
      const first = !url.includes('continue');
      const items = (first ? ['a', 'gone', 'again'] : ['refused', 'last']).map(item);
      response.end(JSON.stringify({ metadata: first ? { continue: 'more' } : {}, items }));
    } else if (method === 'GET') response.end(JSON.stringify({ metadata: { name, uid: 'another' } }));
    else if (name === 'gone') sendStatus(response, 404, 'NotFound');
    else if (name === 'again') sendStatus(response, 409, 'Conflict');
    else if (name === 'refused') sendStatus(response, 403, 'Forbidden');
    else response.end('{}');
  });
  const value = { object: { kind: 'ConfigMap', namespace: 'default' }, labelSelector: 'a=b' };
  const result = await runOn(cluster, { case: 'delete', value });
  t.match(result, {
    status: 403,
    reason: 'Forbidden',
    message: /^1 of 5 objects failed: ConfigMap "refused": Forbidden$/,
  });
  t.strictSame(outcomesOf(result), [
    ...['ConfigMap a 200', 'ConfigMap gone 200', 'ConfigMap again 200'],
    ...['ConfigMap refused 403 Forbidden', 'ConfigMap last 200'],
  ]);
  t.equal(requests.filter((line) => line.startsWith('DELETE')).length, 5);
});

test('by name, an object that another removed in between is gone, which is success', async (t) => {
  let reads = 0;
  const { cluster } = await startApiDouble(t, ({ method }, response) => {
    if (method === 'GET' && (reads += 1) === 1) response.end(JSON.stringify({ metadata: { name: 'one', uid: '1' } }));
    else sendStatus(response, 404, 'NotFound');
  });
  const value = { object: { kind: 'ConfigMap', namespace: 'default', name: 'one' } };
  t.match(await runOn(cluster, { case: 'delete', value }), { status: 200 });
  t.match(await runOn(cluster, { case: 'delete', value }), { status: 404 }, 'but one that never was there is not');
});
