/** Deploy and run job: turn a manifest into an object. */

import type { KubernetesObject } from '../../../kubernetes/client.js';
import { Deploy_Mode, type Deploy, type RunJob } from '../../../protocol/generated/ops/operations_pb.js';
import type { Execution } from '../../operation-results.js';
import { pathOf } from '../api-resources.js';
import { manifestOf, manifestsOf, type Manifest } from '../manifest.js';
import { inTurn } from '../outcomes.js';
import { objects, refuse, type TargetObject, type Work } from '../work.js';
import { clientSideApply } from './client-side-apply.js';
import { serverSideApply } from './server-side-apply.js';

type Query = Readonly<Record<string, string>>;

/**
 * Server-side apply unless the request or the account says otherwise. A manifest without a name (`generateName`) is
 * created in either mode. The objects of a list are deployed in its order, each by itself.
 */
export async function deploy(work: Work, request: Deploy): Promise<Execution> {
  const { isList, manifests } = manifestsOf(request.manifest);
  const [first] = manifests;
  if (!isList && first !== undefined) return objects([await deployOne(work, request, first)]);
  return inTurn(
    work,
    manifests.map((manifest) => {
      const { apiVersion, kind, metadata } = manifest;
      const object = { apiVersion, kind, namespace: metadata.namespace ?? '', name: metadata.name ?? '' };
      return { object, run: () => work.withFreshKinds(() => deployOne(work, request, manifest)) };
    }),
  );
}

async function deployOne(work: Work, request: Deploy, manifest: Manifest): Promise<KubernetesObject> {
  const { mode, dryRun, forceConflicts: force } = request;
  const fieldManager = request.fieldManager || work.fieldManager;
  const query = { fieldManager, ...(dryRun ? { dryRun: 'All' } : {}) };
  const { name, generateName, namespace } = manifest.metadata;
  const resource = await work.resource(manifest.apiVersion, manifest.kind);
  if (!name || mode === Deploy_Mode.CREATE) {
    if (!name && !generateName) {
      throw refuse(400, 'BadRequest', 'manifest: expected metadata.name or metadata.generateName');
    }
    const path = pathOf(resource, work.namespaceOf(resource, namespace ?? ''));
    return work.send({ method: 'POST', path, query, body: manifest });
  }
  const target = work.targetOf(resource, namespace ?? '', name);
  if (mode === Deploy_Mode.REPLACE) return replace(work, target, manifest, query);
  if (mode === Deploy_Mode.UNSPECIFIED && work.cluster.options.serverSideApply !== 'never') {
    return serverSideApply(work, target, manifest, { fieldManager, force, dryRun });
  }
  return clientSideApply(work, target, manifest, query);
}

/** Like Clouddriver: an object that does not exist is created. */
async function replace(work: Work, target: TargetObject, manifest: Manifest, query: Query): Promise<KubernetesObject> {
  const { path, resource, namespace } = target;
  const once = async (): Promise<KubernetesObject> => {
    const live = await work.find(path);
    if (live === undefined) {
      return work.send({ method: 'POST', path: pathOf(resource, namespace), query, body: manifest });
    }
    const resourceVersion = manifest.metadata.resourceVersion || live.metadata.resourceVersion;
    const body = { ...manifest, metadata: { ...manifest.metadata, resourceVersion } };
    return work.send({ method: 'PUT', path, query, body });
  };
  // A manifest with a resourceVersion means exactly that version; otherwise later writes by controllers, such as the
  // status, do not matter.
  return manifest.metadata.resourceVersion ? once() : work.readThenWrite(once);
}

/** Creates a Job; the caller watches its completion. */
export async function runJob(work: Work, request: RunJob): Promise<Execution> {
  const manifest = manifestOf(request.manifest);
  if (manifest.kind !== 'Job') throw refuse(400, 'BadRequest', `manifest.kind: expected Job, found ${manifest.kind}`);
  const resource = await work.resource(manifest.apiVersion, manifest.kind);
  const path = pathOf(resource, work.namespaceOf(resource, manifest.metadata.namespace ?? ''));
  const query = { fieldManager: work.fieldManager };
  return objects([await work.send({ method: 'POST', path, query, body: manifest })]);
}
