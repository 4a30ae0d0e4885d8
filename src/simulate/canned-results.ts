/** What a simulated agent answers: success with plausible objects, or a failure as a Kubernetes API gives it. */

import { create } from '@bufbuild/protobuf';
import type { Execution } from '../agent/operation-results.js';
import {
  AccessReviewResultSchema,
  LogsResultSchema,
  ObjectsSchema,
  type ObjectReference,
  type Operation,
} from '../protocol/generated/ops/operations_pb.js';
import { manifest, type ObjectName } from './kubernetes-objects.js';
import { pick } from './random.js';

const failures: readonly Execution[] = [
  { status: 404, reason: 'NotFound', message: 'deployments.apps "web" not found' },
  {
    status: 409,
    reason: 'Conflict',
    message: 'the object has been modified; please apply your changes to the latest version',
  },
  { status: 403, reason: 'Forbidden', message: 'deployments.apps is forbidden: simulated user cannot do this' },
  { status: 500, reason: 'InternalError', message: 'an error on the server has prevented the request from succeeding' },
];

export function cannedFailure(random: () => number): Execution {
  return pick(failures, random);
}

/** A success for any request; objects or logs have about `resultBytes`. */
export function cannedSuccess(operation: Operation, resultBytes: number, random: () => number): Execution {
  const { request } = operation;
  switch (request.case) {
    case 'get':
    case 'patch':
    case 'scale':
    case 'restart':
    case 'pause':
    case 'resume':
    case 'undo':
      return objects([manifest(nameOf(request.value.object), resultBytes, random)]);
    case 'list': {
      const name = nameOf(request.value.object);
      const count = Math.min(request.value.limit || 3, 10);
      const each = Math.floor(resultBytes / count);
      const items = Array.from({ length: count }, (_, index) =>
        manifest({ ...name, name: `${name.name}-${index}` }, each, random),
      );
      return objects(items);
    }
    case 'deploy':
    case 'runJob':
      return objects([request.value.manifest]);
    case 'delete':
      return objects([]);
    case 'logs': {
      const line = '2024-01-01T00:00:00Z INFO simulated log line\n';
      const text = Buffer.from(line.repeat(Math.max(1, Math.ceil(resultBytes / line.length))));
      return { status: 200, body: { case: 'logs', value: create(LogsResultSchema, { text }) } };
    }
    case 'accessReview': {
      const value = create(AccessReviewResultSchema, { allowed: true, reason: 'RBAC: simulated' });
      return { status: 200, body: { case: 'accessReview', value } };
    }
    case undefined:
      return { status: 400, reason: 'BadRequest', message: 'the operation has no request that this agent supports' };
  }
}

function objects(manifests: Uint8Array[]): Execution {
  return { status: 200, body: { case: 'objects', value: create(ObjectsSchema, { manifests }) } };
}

function nameOf(object: ObjectReference | undefined): ObjectName {
  return {
    apiVersion: object?.apiVersion || 'v1',
    kind: object?.kind || 'Pod',
    namespace: object?.namespace ?? '',
    name: object?.name || 'web',
  };
}
