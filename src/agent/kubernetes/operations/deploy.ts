/** Deploy and run job: a manifest becomes an object. */

import type { KubernetesObject } from '../../../kubernetes/client.js';
import { Deploy_Mode, type Deploy, type RunJob } from '../../../protocol/generated/ops/operations_pb.js';
import type { Execution } from '../../operation-results.js';
import { pathOf } from '../api-resources.js';
import { clientSideApply } from './client-side-apply.js';
import { manifestOf, objects, refuse, type Target, type Work } from '../work.js';

export type Manifest = KubernetesObject & Record<string, unknown>;

/**
 * Server-side apply unless the request or the account says otherwise. A manifest without a name (`generateName`) is
 * created, whatever the mode.
 */
export async function deploy(work: Work, request: Deploy): Promise<Execution> {
  const manifest = manifestOf(request.manifest);
  const query = {
    fieldManager: request.fieldManager || work.fieldManager,
    ...(request.dryRun ? { dryRun: 'All' } : {}),
  };
  const { name = '', namespace = '' } = manifest.metadata as Partial<KubernetesObject['metadata']>;
  const resource = await work.resource(manifest.apiVersion ?? '', manifest.kind ?? '');
  if (name === '' || request.mode === Deploy_Mode.CREATE) {
    if (name === '' && !('generateName' in manifest.metadata)) {
      throw refuse(400, 'BadRequest', 'manifest: expected metadata.name or metadata.generateName');
    }
    const path = pathOf(resource, work.namespaceOf(resource, namespace));
    return objects([await work.send({ method: 'POST', path, query, body: manifest })]);
  }
  const target = work.targetOf(resource, namespace, name);
  const serverSide = request.mode === Deploy_Mode.UNSPECIFIED && work.cluster.options.serverSideApply !== 'never';
  if (request.mode === Deploy_Mode.REPLACE) return objects([await replace(work, target, manifest, query)]);
  if (!serverSide) return objects([await clientSideApply(work, target, manifest, query)]);
  return objects([
    await work.send(
      {
        method: 'PATCH',
        path: target.path,
        query: { ...query, force: String(request.forceConflicts) },
        body: withoutManagedFields(manifest),
        contentType: 'application/apply-patch+yaml',
      },
      true,
    ),
  ]);
}

/** As Clouddriver does it: an object that is not there is created. */
async function replace(
  work: Work,
  { path, resource, namespace }: Target,
  manifest: Manifest,
  query: Readonly<Record<string, string>>,
): Promise<KubernetesObject> {
  const live = await work.find(path);
  if (live === undefined)
    return work.send({ method: 'POST', path: pathOf(resource, namespace), query, body: manifest });
  // With the version that was read, a second attempt that finds the first one's work is a conflict, not a second change.
  const { resourceVersion = live.metadata.resourceVersion } = manifest.metadata as Partial<
    KubernetesObject['metadata']
  >;
  const body = { ...manifest, metadata: { ...manifest.metadata, resourceVersion } };
  return work.send({ method: 'PUT', path, query, body });
}

/** Creates a Job; its completion is for the caller to watch. */
export async function runJob(work: Work, request: RunJob): Promise<Execution> {
  const manifest = manifestOf(request.manifest);
  if (manifest.kind !== 'Job')
    throw refuse(400, 'BadRequest', `manifest.kind: expected Job, found ${manifest.kind ?? ''}`);
  const resource = await work.resource(manifest.apiVersion ?? '', manifest.kind);
  const path = pathOf(resource, work.namespaceOf(resource, manifest.metadata.namespace ?? ''));
  const query = { fieldManager: work.fieldManager };
  return objects([await work.send({ method: 'POST', path, query, body: manifest })]);
}

/** The API refuses to apply what it has written itself. */
function withoutManagedFields(manifest: Manifest): object {
  const { managedFields: _, ...metadata } = manifest.metadata as Record<string, unknown>;
  return { ...manifest, metadata };
}
