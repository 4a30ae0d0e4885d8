/** Logs and access review: questions that change nothing. */

import { create } from '@bufbuild/protobuf';
import {
  AccessReviewResultSchema,
  LogsResultSchema,
  type AccessReview,
  type Logs,
} from '../../../protocol/generated/ops/operations_pb.js';
import type { Execution } from '../../operation-results.js';
import { refuse, type Work } from '../work.js';

/** Below the gateway's default limit of a message, 4 MB. */
const defaultLimitBytes = 3 << 20;

/** The log of one container of a pod. The API cuts to the oldest `limit_bytes`, not the newest: use `tail_lines`. */
export async function logs(work: Work, request: Logs): Promise<Execution> {
  const target = await work.target({ ...emptyReference, ...request.object, kind: request.object?.kind || 'Pod' });
  if (target.resource.kind !== 'Pod') {
    throw refuse(400, 'BadRequest', `object.kind: a ${target.resource.kind} has no logs; expected a Pod`);
  }
  const { container, previous, tailLines, sinceSeconds, limitBytes } = request;
  const query = {
    ...(container === '' ? {} : { container }),
    ...(previous ? { previous: 'true' } : {}),
    ...(tailLines === 0 ? {} : { tailLines: String(tailLines) }),
    ...(sinceSeconds === 0 ? {} : { sinceSeconds: String(sinceSeconds) }),
    limitBytes: String(limitBytes === 0 ? defaultLimitBytes : limitBytes),
  };
  const text = await work.call(true, () =>
    work.cluster.client.text({ method: 'GET', path: `${target.path}/log`, query, accept: '*/*' }, work.signal),
  );
  const value = create(LogsResultSchema, { text: Buffer.from(text) });
  return { status: 200, body: { case: 'logs', value } };
}

/** Whether this agent may do something, like `kubectl auth can-i`. */
export async function accessReview(work: Work, request: AccessReview): Promise<Execution> {
  const { verb, group, resource, subresource, namespace, name } = request;
  if (verb === '' || resource === '') throw refuse(400, 'BadRequest', 'access_review: expected verb and resource');
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { verb, group, resource, subresource, namespace, name } },
  };
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const review = await work.send<{ status?: { allowed?: boolean; reason?: string } }>(
    { method: 'POST', path, body },
    true,
  );
  const { allowed = false, reason = '' } = review.status ?? {};
  const value = create(AccessReviewResultSchema, { allowed, reason });
  return { status: 200, body: { case: 'accessReview', value } };
}

const emptyReference = { $typeName: 'ops.ObjectReference', apiVersion: '', kind: '', namespace: '', name: '' } as const;
