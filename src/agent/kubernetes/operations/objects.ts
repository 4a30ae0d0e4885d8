/** Get, list, patch and delete: single calls of the API. */

import { setTimeout as delay } from 'node:timers/promises';
import { ApiError, type KubernetesObject, type ObjectList } from '../../../kubernetes/client.js';
import {
  Delete_Propagation,
  Patch_Type,
  type Delete,
  type Get,
  type List,
  type Patch,
} from '../../../protocol/generated/ops/operations_pb.js';
import type { Execution } from '../../operation-results.js';
import { apiVersionOf, pathOf, type ApiResource } from '../api-resources.js';
import { inTurn, type ObjectStep } from '../outcomes.js';
import { objects, refuse, type TargetObject, type Work } from '../work.js';

export async function get(work: Work, { object }: Get): Promise<Execution> {
  const { path } = await work.target(object);
  return objects([await work.send({ method: 'GET', path })]);
}

/**
 * One page, if the request sets a limit. If the account covers only some namespaces, lists all of them, one after the
 * other.
 */
export async function list(work: Work, request: List): Promise<Execution> {
  const { apiVersion = '', kind = '', namespace = '' } = request.object ?? {};
  const resource = await work.resource(apiVersion, kind);
  const { namespaces } = work.cluster.options;
  if (!resource.namespaced || namespace !== '' || namespaces.length === 0) {
    const path = pathOf(resource, namespace === '' && resource.namespaced ? '' : work.namespaceOf(resource, namespace));
    const { items, continuation } = await listPage(work, resource, path, request);
    return objects(
      items.filter(({ metadata }) => work.cluster.covers(metadata.namespace ?? '')),
      continuation,
    );
  }
  if (request.continue !== '') {
    throw refuse(400, 'BadRequest', 'object.namespace: expected a namespace of the account, because continue is set');
  }
  const all: object[] = [];
  for (const each of namespaces) all.push(...(await listPage(work, resource, pathOf(resource, each), request)).items);
  return objects(all);
}

async function listPage(
  work: Work,
  resource: ApiResource,
  path: string,
  { labelSelector, fieldSelector, limit, continue: continuation }: Partial<List>,
): Promise<{ items: KubernetesObject[]; continuation: string }> {
  const query = {
    ...(labelSelector ? { labelSelector } : {}),
    ...(fieldSelector ? { fieldSelector } : {}),
    ...(limit ? { limit: String(limit) } : {}),
    ...(continuation ? { continue: continuation } : {}),
  };
  const page = await work.send<ObjectList>({ method: 'GET', path, query });
  // The items of a list lack apiVersion and kind.
  const type = { apiVersion: apiVersionOf(resource), kind: resource.kind };
  return {
    items: (page.items ?? []).map((item) => ({ ...type, ...item })),
    continuation: page.metadata.continue ?? '',
  };
}

const patchTypes = {
  [Patch_Type.UNSPECIFIED]: 'application/strategic-merge-patch+json',
  [Patch_Type.STRATEGIC]: 'application/strategic-merge-patch+json',
  [Patch_Type.MERGE]: 'application/merge-patch+json',
  [Patch_Type.JSON]: 'application/json-patch+json',
} as const;

export async function patch(work: Work, request: Patch): Promise<Execution> {
  const { path } = await work.target(request.object);
  const query = {
    fieldManager: request.fieldManager || work.fieldManager,
    ...(request.dryRun ? { dryRun: 'All' } : {}),
  };
  const contentType = patchTypes[request.type] as string | undefined;
  if (contentType === undefined) throw refuse(400, 'BadRequest', 'type: expected strategic, merge or JSON');
  // A JSON patch may add to a list, so it must not be applied twice.
  const repeatable = request.type !== Patch_Type.JSON;
  return objects([await work.send({ method: 'PATCH', path, query, body: request.patch, contentType }, repeatable)]);
}

const propagations = {
  [Delete_Propagation.UNSPECIFIED]: undefined,
  [Delete_Propagation.BACKGROUND]: 'Background',
  [Delete_Propagation.FOREGROUND]: 'Foreground',
  [Delete_Propagation.ORPHAN]: 'Orphan',
} as const;

/** Returns the objects as they were last seen. A selector without a match is success, as in kubectl. */
export async function remove(work: Work, request: Delete): Promise<Execution> {
  const { object, labelSelector } = request;
  if (!object?.name) return removeSelected(work, request);
  if (labelSelector !== '') throw refuse(400, 'BadRequest', 'label_selector: expected a name or a selector, not both');
  const target = await work.target(object);
  const live = await work.send({ method: 'GET', path: target.path });
  await removeOne(work, target, live, request);
  if (request.wait && !request.dryRun) await gone(work, target.path, live.metadata.uid);
  return objects([live]);
}

/** Page size, as in the agent's watches: few enough objects to hold in memory, even large ones. */
const pageSize = 100;

async function removeSelected(work: Work, request: Delete): Promise<Execution> {
  const { object, labelSelector, wait, dryRun } = request;
  if (labelSelector === '') throw refuse(400, 'BadRequest', 'object.name: expected a name, or a label_selector');
  const resource = await work.resource(object?.apiVersion ?? '', object?.kind ?? '');
  const namespace = work.namespaceOf(resource, object?.namespace ?? '');
  const removed: { readonly path: string; readonly uid: string | undefined }[] = [];
  async function* steps(): AsyncGenerator<ObjectStep> {
    let next = '';
    do {
      const page = { labelSelector, limit: pageSize, continue: next };
      const { items, continuation } = await listPage(work, resource, pathOf(resource, namespace), page);
      for (const live of items) {
        const { name, uid } = live.metadata;
        const target = work.targetOf(resource, namespace, name);
        const run = async (): Promise<object> => {
          await removeOne(work, target, live, request);
          removed.push({ path: target.path, uid });
          return live;
        };
        yield { object: { apiVersion: apiVersionOf(resource), kind: resource.kind, namespace, name }, run };
      }
      next = continuation;
    } while (next !== '');
  }
  const result = await inTurn(work, steps());
  // All deletions run at the same time, not one after the other.
  if (wait && !dryRun) for (const { path, uid } of removed) await gone(work, path, uid);
  return result;
}

/** If the object no longer exists, that is success, no matter who removed it. */
async function removeOne(work: Work, { path }: TargetObject, live: KubernetesObject, request: Delete): Promise<void> {
  const { propagation, gracePeriodSeconds, dryRun } = request;
  const { uid } = live.metadata;
  const policy = propagations[propagation] as string | undefined;
  const body = {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    // Another object of this name, created meanwhile, must not be deleted.
    preconditions: { uid },
    ...(policy === undefined ? {} : { propagationPolicy: policy }),
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    ...(dryRun ? { dryRun: ['All'] } : {}),
  };
  try {
    await work.send({ method: 'DELETE', path, body }, true);
  } catch (error) {
    if (!(error instanceof ApiError && (error.status === 404 || error.status === 409))) throw error;
    if (error.status === 409 && (await work.find(path))?.metadata.uid === uid) throw error;
  }
}

/** Finalizers and grace periods take their time. @throws the operation's deadline */
async function gone(work: Work, path: string, uid: string | undefined): Promise<void> {
  for (let pauseMs = 100; ; pauseMs = Math.min(2_000, pauseMs * 1.5)) {
    const found = await work.find(path);
    if (found?.metadata.uid !== uid) return;
    await delay(pauseMs, undefined, { signal: work.signal });
  }
}
