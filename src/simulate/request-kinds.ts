/** The requests that the load generator sends, as protobuf JSON, one sample of each kind. */

import { manifest } from './kubernetes-objects.js';

export const requestKinds = [
  'deploy',
  'delete',
  'get',
  'list',
  'patch',
  'scale',
  'restart',
  'pause',
  'resume',
  'undo',
  'runJob',
  'logs',
  'accessReview',
] as const;

/** The names of Operation's requests in protobuf JSON. */
export type RequestKind = (typeof requestKinds)[number];

export function isRequestKind(name: string): name is RequestKind {
  return (requestKinds as readonly string[]).includes(name);
}

const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'default', name: 'web' };
const pod = { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: 'web-0' };

/**
 * The request of one kind. Requests that carry a manifest or patch are padded to about `payloadBytes`.
 * protobuf JSON writes bytes as base64.
 */
export function sampleRequest(kind: RequestKind, payloadBytes: number): object {
  switch (kind) {
    case 'deploy':
      return { manifest: base64(manifest(deployment, payloadBytes)) };
    case 'runJob':
      return { manifest: base64(manifest({ ...deployment, apiVersion: 'batch/v1', kind: 'Job' }, payloadBytes)) };
    case 'patch':
      return { object: deployment, type: 'TYPE_MERGE', patch: base64(manifest(deployment, payloadBytes)) };
    case 'list':
      return { object: { apiVersion: 'v1', kind: 'Pod', namespace: 'default' }, limit: 10 };
    case 'scale':
      return { object: deployment, replicas: 3 };
    case 'logs':
      return { object: pod, tailLines: 100 };
    case 'accessReview':
      return { verb: 'list', resource: 'pods', namespace: 'default' };
    case 'get':
    case 'delete':
    case 'restart':
    case 'pause':
    case 'resume':
    case 'undo':
      return { object: deployment };
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
