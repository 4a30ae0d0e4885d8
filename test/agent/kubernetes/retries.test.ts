/** Logs, old discovery, and which requests are sent again: against a server that fails as it is told to. */

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { test } from 'tap';
import type { Cluster } from '../../../src/agent/kubernetes/cluster.js';
import { createExecute } from '../../../src/agent/kubernetes/execute.js';
import type { Execution } from '../../../src/agent/operation-results.js';
import { OperationSchema } from '../../../src/protocol/generated/ops/operations_pb.js';
import { sendStatus, startApiDouble } from './api-double.js';

type Request = NonNullable<MessageInitShape<typeof OperationSchema>['request']>;

const object = { kind: 'ConfigMap', namespace: 'default', name: 'one' };
const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one', namespace: 'default' } };
const manifest = Buffer.from(JSON.stringify(map));

function run(cluster: Cluster, request: Request, retries: object = {}): Promise<Execution> {
  const execute = createExecute({
    clusterOf: () => cluster,
    fieldManager: 'agent',
    retries: {
      enabled: true,
      maxRetries: 2,
      backOffMs: 1,
      retryAnyError: false,
      retryableErrors: ['timeout'],
      ...retries,
    },
  });
  const operation = create(OperationSchema, { id: 'x', account: 'prod', request });
  return execute(operation, { signal: AbortSignal.timeout(120_000) });
}

test('logs are asked for as the request says', async (t) => {
  const { cluster, requests } = await startApiDouble(t, (_, response) => response.end('first\nsecond\n'));
  const value = {
    object: { namespace: 'shop', name: 'web-1' },
    container: 'main',
    tailLines: 2,
    sinceSeconds: 60,
    previous: true,
  };
  const { status, body } = await run(cluster, { case: 'logs', value });
  t.equal(status, 200);
  t.equal(body?.case === 'logs' && Buffer.from(body.value.text).toString(), 'first\nsecond\n');
  t.strictSame(requests, [
    'GET /api/v1/namespaces/shop/pods/web-1/log?container=main&previous=true&tailLines=2&sinceSeconds=60&limitBytes=3145728',
  ]);
});

test('a request is sent again where twice is the same as once', async (t) => {
  const failures: [string, number, string, object][] = [
    ['a server that is busy, for as long as it asks', 429, 'TooManyRequests', { 'retry-after': '1' }],
    ['a time-out by its words', 500, 'etcd: request timeout', {}],
    ['a gateway in between', 502, 'Bad Gateway', {}],
  ];
  for (const [name, code, message, headers] of failures) {
    await t.test(name, async (t) => {
      let left = 1;
      const { cluster, requests } = await startApiDouble(t, (_, response) => {
        if (left-- > 0) sendStatus(response, code, message, headers);
        else response.end(JSON.stringify(map));
      });
      t.equal((await run(cluster, { case: 'get', value: { object } })).status, 200);
      t.equal(requests.filter((line) => line.includes('configmaps')).length, 2);
    });
  }
});

test('a request is not sent again where it may have been done, where it was refused, or too often', async (t) => {
  const cases: [string, Request, number, string, number][] = [
    ['a creation', { case: 'deploy', value: { manifest, mode: 3 } }, 500, 'timeout', 1],
    ['a JSON patch', { case: 'patch', value: { object, type: 3, patch: Buffer.from('[]') } }, 502, 'Bad Gateway', 1],
    ['a refusal', { case: 'get', value: { object } }, 403, 'Forbidden', 1],
    ['another error', { case: 'get', value: { object } }, 500, 'panic', 1],
    ['for ever', { case: 'get', value: { object } }, 503, 'ServiceUnavailable', 3],
  ];
  for (const [name, request, code, message, times] of cases) {
    await t.test(name, async (t) => {
      const { cluster, requests } = await startApiDouble(t, (_, response) => sendStatus(response, code, message));
      t.match(await run(cluster, request), { status: code, message });
      t.equal(requests.filter((line) => line.includes('configmaps')).length, times);
    });
  }
  await t.test('with retries off', async (t) => {
    const { cluster, requests } = await startApiDouble(t, (_, response) =>
      sendStatus(response, 429, 'TooManyRequests'),
    );
    t.match(await run(cluster, { case: 'get', value: { object } }, { enabled: false }), { status: 429 });
    t.equal(requests.filter((line) => line.includes('configmaps')).length, 1);
  });
});

test('a deletion whose answer was lost is done', async (t) => {
  const { cluster, requests } = await startApiDouble(t, (request, response) => {
    const deletions = requests.filter((line) => line.startsWith('DELETE')).length;
    if (request.method === 'GET') response.end(JSON.stringify({ ...map, metadata: { ...map.metadata, uid: '1' } }));
    else if (deletions === 1) request.socket.destroy();
    else sendStatus(response, 404, 'NotFound');
  });
  t.match(await run(cluster, { case: 'delete', value: { object } }), { status: 200 });
});
