/** Requests of the Kubernetes API in the history: which ones, and what is said about them. */

import { test } from 'tap';
import { GatewayError, type ErrorCode, type ErrorDetails } from '../../../src/core/errors.js';
import { ApiRequestRecords, isRecorded, type ApiRequestRecord } from '../../../src/gateway/kubernetes-api/records.js';
import type { RequestInfo } from '../../../src/kubernetes/request-info.js';
import type { FinishedOperation } from '../../../src/store/operations/operation-record.js';

const scale: RequestInfo = {
  isResource: true,
  verb: 'patch',
  path: '/apis/apps/v1/namespaces/shop/deployments/web/scale',
  group: 'apps',
  version: 'v1',
  namespace: 'shop',
  resource: 'deployments',
  subresource: 'scale',
  name: 'web',
};
const start = 1_700_000_000_000;
const ended: ApiRequestRecord = {
  account: 'prod',
  caller: 'alice',
  info: scale,
  startTime: start,
  durationMs: 250.4,
  requestBytes: 34,
  responseBytes: 512,
  owner: { instanceId: 'gateway-2', time: start + 1 },
  agent: { agentId: 'agent-1', time: start + 2 },
  status: 200,
};

function setUp() {
  const written: FinishedOperation[] = [];
  const records = new ApiRequestRecords({
    instanceId: 'gateway-1',
    recorder: {
      endLater: (record, durable) => {
        if (!durable) written.push(record);
      },
    },
  });
  const recorded = (change: Partial<ApiRequestRecord>): FinishedOperation | undefined => {
    records.record({ ...ended, ...change });
    return written.at(-1);
  };
  return { records, recorded, written };
}

test('a request that changes something, and every upgrade, belongs in the history', async (t) => {
  for (const verb of ['get', 'list', 'watch']) {
    t.equal(isRecorded({ ...scale, verb }, ''), false, verb);
    t.equal(isRecorded({ ...scale, verb }, 'websocket'), true, `${verb} with an upgrade`);
  }
  for (const verb of ['create', 'update', 'patch', 'delete', 'deletecollection']) {
    t.equal(isRecorded({ ...scale, verb }, ''), true, verb);
  }
  for (const verb of ['get', 'GET', 'head', 'options']) {
    t.equal(isRecorded({ ...scale, isResource: false, verb }, ''), false, `${verb} of a path`);
  }
  t.equal(isRecorded({ ...scale, isResource: false, verb: 'post' }, ''), true, 'post to a path');
});

test('its row says who did what to which object, where it went and how it ended', async (t) => {
  const { recorded } = setUp();
  const record = recorded({});
  t.match(record?.operationId, /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/u);
  t.strictSame(record, {
    operationId: record?.operationId,
    operationType: 'kubernetes-api',
    account: 'prod',
    startTime: start,
    endTime: start + 250,
    totalDurationMs: 250,
    finalOutcome: 'completed',
    receivedBy: { instanceId: 'gateway-1', time: start },
    processedBy: { instanceId: 'gateway-2', time: start + 1 },
    sentToAgent: { agentId: 'agent-1', time: start + 2 },
    resultReceivedFromAgent: {
      agentId: 'agent-1',
      instanceId: 'gateway-2',
      time: start + 250,
      status: 200,
      durationMs: 248,
    },
    digest: '',
    errorMessage: undefined,
    caller: 'alice',
    verb: 'patch',
    object: { group: 'apps', resource: 'deployments/scale', namespace: 'shop', name: 'web' },
    requestBytes: 34,
    responseBytes: 512,
  });
  const path = recorded({ info: { ...scale, isResource: false, verb: 'post', path: '/version' } });
  t.strictSame(path?.object, { group: '', resource: '/version', namespace: '', name: '' });
});

test('its outcome', async (t) => {
  const { recorded } = setUp();
  const outcome = (change: Partial<ApiRequestRecord>) => recorded(change)?.finalOutcome;
  for (const status of [101, 201, 304]) t.equal(outcome({ status }), 'completed', String(status));
  for (const status of [404, 409, 503]) t.equal(outcome({ status }), 'failed', String(status));
  t.equal(outcome({ status: undefined }), 'failed', 'no answer');
  const after = (code: ErrorCode, details: ErrorDetails = {}) =>
    recorded({ failure: new GatewayError(code, `because of ${code}`, details) });
  t.match(after('cancelled'), { finalOutcome: 'cancelled', errorMessage: 'because of cancelled' });
  t.match(after('timed-out'), { finalOutcome: 'timed out' });
  t.match(after('agent-lost'), { finalOutcome: 'agent lost' });
  t.match(after('owner-unreachable'), { finalOutcome: 'agent lost' });
  t.match(after('agent-lost', { unsent: true }), { finalOutcome: 'failed' }, 'nothing of it was sent');
  t.match(after('no-agent'), { finalOutcome: 'failed' });
});
