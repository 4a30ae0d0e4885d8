/** Logs, old discovery, and which requests are sent again: against a server that fails as it is told to. */

import type { MessageInitShape } from '@bufbuild/protobuf';
import { test } from 'tap';
import type { OperationSchema } from '../../../src/protocol/generated/ops/operations_pb.js';
import { defaultRetries, withoutEffect, withRetries } from '../../../src/agent/kubernetes/retries.js';
import { GatewayError } from '../../../src/core/errors.js';
import { runOn, sendStatus, startApiDouble } from './api-double.js';

type Request = NonNullable<MessageInitShape<typeof OperationSchema>['request']>;

const object = { kind: 'ConfigMap', namespace: 'default', name: 'one' };
const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one', namespace: 'default' } };
const manifest = Buffer.from(JSON.stringify(map));

test('logs are asked for as the request says', async (t) => {
  const { cluster, requests } = await startApiDouble(t, (_, response) => response.end('first\nsecond\n'));
  const value = {
    object: { namespace: 'shop', name: 'web-1' },
    container: 'main',
    tailLines: 2,
    sinceSeconds: 60,
    previous: true,
  };
  const { status, body } = await runOn(cluster, { case: 'logs', value });
  t.equal(status, 200);
  t.equal(body?.case === 'logs' && Buffer.from(body.value.text).toString(), 'first\nsecond\n');
  t.strictSame(requests, [
    'GET /api/v1/namespaces/shop/pods/web-1/log?container=main&previous=true&tailLines=2&sinceSeconds=60&limitBytes=3145728',
  ]);
});

test('a request is sent again where twice is the same as once', async (t) => {
  const failures: [string, number, string, object][] = [
    ['a server that is busy, for as long as it asks', 429, 'TooManyRequests', { 'retry-after': '1' }],
    ['a server that ran out of time', 500, 'ServerTimeout', {}],
    ['a gateway in between', 502, 'Bad Gateway', {}],
  ];
  for (const [name, code, message, headers] of failures) {
    await t.test(name, async (t) => {
      let left = 1;
      const { cluster, requests } = await startApiDouble(t, (_, response) => {
        if (left-- > 0) sendStatus(response, code, message, headers);
        else response.end(JSON.stringify(map));
      });
      t.equal((await runOn(cluster, { case: 'get', value: { object } })).status, 200);
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
      t.match(await runOn(cluster, request), { status: code, message });
      t.equal(requests.filter((line) => line.includes('configmaps')).length, times);
    });
  }
  await t.test('with retries off', async (t) => {
    const { cluster, requests } = await startApiDouble(t, (_, response) =>
      sendStatus(response, 429, 'TooManyRequests'),
    );
    t.match(await runOn(cluster, { case: 'get', value: { object } }, { enabled: false }), { status: 429 });
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
  t.match(await runOn(cluster, { case: 'delete', value: { object } }), { status: 200 });
});

test('words of a message, which may be names, are no reason to repeat a request', async (t) => {
  const words = ['timeout', 'deadline exceeded', 'ServerTimeout', 'Timeout', '503', 'etcdserver: leader changed'];
  const retryableErrors = [...words, 'spec.timeoutSeconds'];
  for (const [code, reason] of [
    [500, ''],
    [500, 'InternalError'],
    [501, ''],
    [422, 'Invalid'],
  ] as const) {
    const message = `.spec.timeoutSeconds: expected numeric, got "5": ${words.join(' ')}`;
    const { cluster, requests } = await startApiDouble(t, (_, response) =>
      sendStatus(response, code, message, {}, reason),
    );
    t.match(await runOn(cluster, { case: 'get', value: { object } }, { retryableErrors }), { status: code, message });
    t.equal(requests.length, 1, `${String(code)} ${reason}`);
  }
});

test('kubernetes.retries.retryableErrors names statuses and reasons, and what it cannot name is told', async (t) => {
  const attempts = async (retryableErrors: string[], code: number, reason: string): Promise<number> => {
    const { cluster, requests } = await startApiDouble(t, (_, response) => sendStatus(response, code, 'm', {}, reason));
    await runOn(cluster, { case: 'get', value: { object } }, { retryableErrors });
    return requests.length;
  };
  t.equal(await attempts(['500'], 500, ''), 3);
  t.equal(await attempts(['internal error'], 500, 'InternalError'), 3);
  t.equal(await attempts(['deadline exceeded'], 500, 'ServerTimeout'), 3);
  t.equal(await attempts([], 500, 'ServerTimeout'), 1);
  t.equal(await attempts(['404'], 404, 'NotFound'), 1, 'a refusal is one');
  t.strictSame(withoutEffect(['timeout', 'Deadline Exceeded', 'InternalError', ' 500', 'server-timeout']), []);
  t.strictSame(withoutEffect(['connection refused', '404', 'leader changed']), [
    'connection refused',
    '404',
    'leader changed',
  ]);
});

test('by the cause of a failed connection, and of nothing else', async (t) => {
  const attempts = async (error: unknown): Promise<number> => {
    let count = 0;
    const failing = withRetries(
      { ...defaultRetries, maxRetries: 2, backOffMs: 1 },
      true,
      AbortSignal.timeout(5_000),
      () => {
        count += 1;
        return Promise.reject(error);
      },
    );
    await t.rejects(failing);
    return count;
  };
  const coded = (code: string) => Object.assign(new Error('words'), { code });
  t.equal(await attempts(new TypeError('fetch failed', { cause: coded('ECONNRESET') })), 3);
  t.equal(await attempts(coded('UND_ERR_SOCKET')), 3);
  t.equal(await attempts(new GatewayError('timed-out', 'late')), 3);
  t.equal(await attempts(new TypeError('connection timeout')), 1, 'a fault of ours');
  t.equal(await attempts(new GatewayError('configuration', 'timeout')), 1);
});

test('an answer that is not JSON, and one that is too large, are told in words of ours', async (t) => {
  const nonsense = await startApiDouble(t, (_, response) => response.end('<html>timeout'));
  t.match(await runOn(nonsense.cluster, { case: 'get', value: { object } }), {
    status: 503,
    message: "the request to the cluster's API server failed: the answer of the Kubernetes API is not JSON",
  });
  t.equal(nonsense.requests.length, 3, 'it may have been cut off');
});
