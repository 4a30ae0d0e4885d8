/** OperationHistoryRecord, as in Armory's REST reference; fields that are not known (yet) are left out. */

import Type, { type Static } from 'typebox';
import type { OperationRecord, RecordedObject } from '../../store/operations/operation-record.js';

const time = Type.String({ format: 'date-time', description: 'ISO 8601 with milliseconds, UTC.' });
const instanceStep = Type.Object({ clouddriverId: Type.String(), time });
const agentStep = Type.Object({ agentId: Type.String(), time });

export const historySchema = Type.Object(
  {
    operationId: Type.String(),
    operationType: Type.String(),
    account: Type.String(),
    startTime: time,
    endTime: Type.Optional(time),
    totalDurationMs: Type.Optional(Type.Integer()),
    finalOutcome: Type.Optional(
      Type.String({
        description:
          'completed, failed, timed out, cancelled, agent lost or refused; absent while the operation is in progress. A refused operation was not accepted: nothing of it reached the cluster, and its id is not one.',
      }),
    ),
    message: Type.Optional(
      Type.String({ description: 'Why the operation did not complete, or the message of the agent.' }),
    ),
    opReceivedByClouddriver: Type.Optional(instanceStep),
    opProcessedByClouddriver: Type.Optional(instanceStep),
    opSentToAgent: Type.Optional(agentStep),
    resultReceivedFromAgent: Type.Optional(
      Type.Object({
        agentId: Type.String(),
        clouddriverId: Type.String(),
        time,
        result: Type.Object({ status: Type.Integer(), durationMs: Type.Integer() }),
      }),
    ),
    resultReceivedByClouddriver: Type.Optional(instanceStep),
    caller: Type.Optional(
      Type.String({ description: 'Principal of the caller, or "anonymous" and its address. Armory does not have it.' }),
    ),
    verb: Type.Optional(
      Type.String({ description: 'As Kubernetes names it: create, patch, delete. Armory does not have it.' }),
    ),
    object: Type.Optional(
      Type.Object(
        {
          group: Type.String({ description: 'API group; empty for the core group.' }),
          kind: Type.Optional(
            Type.String({
              description:
                'As the operation names it: Deployment. Requests of the Kubernetes API name only the resource.',
            }),
          ),
          resource: Type.String({
            description:
              'In the plural, with the subresource: pods/exec. Of an operation: the usual plural of its kind.',
          }),
          namespace: Type.String({ description: 'Empty for all namespaces, and for objects without one.' }),
          name: Type.String({
            description: 'Empty if the request is about several objects; web-* if the cluster completes the name.',
          }),
          selector: Type.Optional(Type.String({ description: 'Labels or fields that select the objects.' })),
          others: Type.Optional(
            Type.Array(Type.String(), {
              description:
                'Of a manifest with several objects, those after the first one: "Service shop/web". At most nine; then how many more.',
            }),
          ),
        },
        { description: 'What the request was about; never a manifest. Armory does not have it.' },
      ),
    ),
    mode: Type.Optional(
      Type.String({
        description:
          'How it is done, if there are several ways: server-side-apply, dry-run; replicas=3. Armory does not have it.',
      }),
    ),
    reason: Type.Optional(
      Type.String({
        description: 'Why requests were refused: the last part of the `type` of the problem, such as no-agent.',
      }),
    ),
    count: Type.Optional(
      Type.Integer({
        description:
          'How many refused requests the record stands for: those of a minute with the same caller, account, type and reason at one instance. `message` and `object` are those of the last one, `endTime` is its time.',
      }),
    ),
    requestBytes: Type.Optional(Type.Integer({ description: 'Armory does not have it.' })),
    responseBytes: Type.Optional(Type.Integer({ description: 'Armory does not have it.' })),
  },
  {
    description: 'OperationHistoryRecord',
    examples: [
      {
        operationId: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
        operationType: 'scale',
        account: 'prod-eu',
        startTime: '2026-03-01T08:15:30.100Z',
        endTime: '2026-03-01T08:15:30.350Z',
        totalDurationMs: 250,
        finalOutcome: 'completed',
        opReceivedByClouddriver: { clouddriverId: 'gateway-7d9c5b8f6-x2x9k', time: '2026-03-01T08:15:30.100Z' },
        opProcessedByClouddriver: { clouddriverId: 'gateway-7d9c5b8f6-q8w4z', time: '2026-03-01T08:15:30.103Z' },
        opSentToAgent: { agentId: 'agent-5c9f-7h2kq', time: '2026-03-01T08:15:30.103Z' },
        resultReceivedFromAgent: {
          agentId: 'agent-5c9f-7h2kq',
          clouddriverId: 'gateway-7d9c5b8f6-q8w4z',
          time: '2026-03-01T08:15:30.346Z',
          result: { status: 200, durationMs: 240 },
        },
        resultReceivedByClouddriver: { clouddriverId: 'gateway-7d9c5b8f6-x2x9k', time: '2026-03-01T08:15:30.350Z' },
        caller: 'policy:deployers',
        object: { group: 'apps', kind: 'Deployment', resource: 'deployments', namespace: 'shop', name: 'web' },
        mode: 'replicas=3',
      },
      {
        operationId: '01ARZ3NDEKTSV4RRFFQ69G5FAW',
        operationType: 'kubernetes-api',
        account: 'prod-eu',
        startTime: '2026-03-01T08:15:31.000Z',
        endTime: '2026-03-01T08:15:31.020Z',
        totalDurationMs: 20,
        finalOutcome: 'completed',
        caller: 'alice',
        verb: 'patch',
        object: { group: 'apps', resource: 'deployments/scale', namespace: 'shop', name: 'web' },
        requestBytes: 34,
        responseBytes: 512,
      },
      {
        operationId: '01ARZ3NDEKTSV4RRFFQ69G5FAX',
        operationType: 'deploy',
        account: 'prod-us',
        startTime: '2026-03-01T08:15:02.000Z',
        endTime: '2026-03-01T08:15:58.000Z',
        totalDurationMs: 56000,
        finalOutcome: 'refused',
        message: 'no agent is connected for account "prod-us"',
        opReceivedByClouddriver: { clouddriverId: 'gateway-7d9c5b8f6-x2x9k', time: '2026-03-01T08:15:02.000Z' },
        caller: 'policy:deployers',
        object: { group: 'apps', kind: 'Deployment', resource: 'deployments', namespace: 'shop', name: 'web' },
        reason: 'no-agent',
        count: 42,
      },
    ],
  },
);
export type History = Static<typeof historySchema>;

export function toHistory(record: OperationRecord): History {
  const answer = record.resultReceivedFromAgent;
  const message = record.errorMessage ?? record.resultMessage;
  return {
    operationId: record.operationId,
    operationType: record.operationType,
    account: record.account,
    startTime: iso(record.startTime),
    ...(record.endTime === undefined ? {} : { endTime: iso(record.endTime) }),
    ...(record.totalDurationMs === undefined ? {} : { totalDurationMs: record.totalDurationMs }),
    ...(record.finalOutcome === undefined ? {} : { finalOutcome: record.finalOutcome }),
    ...(message === undefined || message === '' ? {} : { message }),
    ...(record.receivedBy === undefined ? {} : { opReceivedByClouddriver: step(record.receivedBy) }),
    ...(record.processedBy === undefined ? {} : { opProcessedByClouddriver: step(record.processedBy) }),
    ...(record.sentToAgent === undefined
      ? {}
      : { opSentToAgent: { agentId: record.sentToAgent.agentId, time: iso(record.sentToAgent.time) } }),
    ...(answer === undefined
      ? {}
      : {
          resultReceivedFromAgent: {
            agentId: answer.agentId,
            clouddriverId: answer.instanceId,
            time: iso(answer.time),
            result: { status: answer.status, durationMs: answer.durationMs },
          },
        }),
    ...(record.resultReceivedBy === undefined ? {} : { resultReceivedByClouddriver: step(record.resultReceivedBy) }),
    ...(record.caller === undefined ? {} : { caller: record.caller }),
    ...(record.verb === undefined ? {} : { verb: record.verb }),
    ...(record.object === undefined ? {} : { object: objectOf(record.object) }),
    ...(record.mode === undefined ? {} : { mode: record.mode }),
    ...(record.reason === undefined ? {} : { reason: record.reason }),
    ...(record.count === undefined ? {} : { count: record.count }),
    ...(record.requestBytes === undefined ? {} : { requestBytes: record.requestBytes }),
    ...(record.responseBytes === undefined ? {} : { responseBytes: record.responseBytes }),
  };
}

function objectOf({ group, kind, resource, namespace, name, selector, others }: RecordedObject) {
  return {
    group,
    ...(kind === undefined ? {} : { kind }),
    resource,
    namespace,
    name,
    ...(selector === undefined ? {} : { selector }),
    ...(others === undefined ? {} : { others: [...others] }),
  };
}

function step({ instanceId, time: at }: { readonly instanceId: string; readonly time: number }) {
  return { clouddriverId: instanceId, time: iso(at) };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
