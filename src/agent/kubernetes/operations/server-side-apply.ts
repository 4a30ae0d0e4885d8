/**
 * Server-side apply. Fields that this product wrote before in other ways, or that were applied client-side, do not
 * conflict; fields of any other owner do, and are reported (409).
 */

import { isDeepStrictEqual } from 'node:util';
import { stringifyJson } from '../../../documents/exact-json.js';
import { ApiError, type KubernetesObject } from '../../../kubernetes/client.js';
import { clientSideAppliers, fieldOwners, handedOver } from '../field-owners.js';
import { judged } from '../judged.js';
import type { Manifest } from '../manifest.js';
import { refuse, type TargetObject, type Work } from '../work.js';

export interface ApplyOptions {
  readonly fieldManager: string;
  /** Also takes over fields of others. */
  readonly force: boolean;
  readonly dryRun: boolean;
}

/** @throws ApiError 409 with the manager and the field, as Kubernetes reports it */
export async function serverSideApply(
  work: Work,
  target: TargetObject,
  manifest: Manifest,
  options: ApplyOptions,
): Promise<KubernetesObject> {
  if (options.dryRun) return dryRun(work, target, manifest, options);
  const ready = await handOver(work, target, options);
  const applied = await apply(work, target, manifest, withForce(work, options, ready));
  if (clientSideAppliers(fieldOwners(applied)).size === 0) return applied;
  // An object without any owners (from before Kubernetes 1.18): its owners are recorded from its first apply on.
  await handOver(work, target, options);
  return apply(work, target, manifest, options);
}

function apply(work: Work, target: TargetObject, manifest: Manifest, options: ApplyOptions): Promise<KubernetesObject> {
  const { fieldManager, force, dryRun } = options;
  const query = { fieldManager, force: String(force), ...(dryRun ? { dryRun: 'All' } : {}) };
  const contentType = 'application/apply-patch+yaml';
  const body = withoutManagedFields(manifest);
  return judged(work, target, body, () =>
    work.send({ method: 'PATCH', path: target.path, query, body, contentType }, true),
  );
}

/** Writes the required owners. @returns the resulting object, if there is one */
function handOver(work: Work, { path }: TargetObject, options: ApplyOptions): Promise<KubernetesObject | undefined> {
  return work.readThenWrite(async () => {
    const live = await work.find(path);
    if (live === undefined) return undefined;
    const { wanted, owners } = ownersBefore(work, options, live);
    // An empty list would be ignored.
    if (wanted.length === 0 || isDeepStrictEqual(wanted, owners)) return live;
    const body = [
      { op: 'replace', path: '/metadata/managedFields', value: wanted },
      // Fails if somebody has changed the object since it was read.
      { op: 'replace', path: '/metadata/resourceVersion', value: live.metadata.resourceVersion },
    ];
    const query = { fieldManager: work.fieldManager };
    return work.send({ method: 'PATCH', path, query, body, contentType: 'application/json-patch+json' }, true);
  });
}

/** If nobody else owns any field, there is nobody to protect. */
function withForce(work: Work, options: ApplyOptions, live: KubernetesObject | undefined): ApplyOptions {
  const alone = live !== undefined && ownersBefore(work, options, live).wanted.length === 0;
  return { ...options, force: options.force || alone };
}

function ownersBefore(work: Work, { fieldManager }: ApplyOptions, live: KubernetesObject) {
  const owners = fieldOwners(live);
  return { owners, wanted: handedOver(owners, fieldManager, new Set([work.fieldManager, fieldManager])) };
}

/** If owners cannot be written, conflicts with owners that would have handed over their fields are ignored. */
async function dryRun(
  work: Work,
  target: TargetObject,
  manifest: Manifest,
  options: ApplyOptions,
): Promise<KubernetesObject> {
  const live = await work.find(target.path);
  try {
    return await apply(work, target, manifest, withForce(work, options, live));
  } catch (error) {
    const conflict = error instanceof ApiError && error.reason === 'Conflict' && error.causes.length > 0;
    if (!conflict || live === undefined) throw error;
    const { owners, wanted } = ownersBefore(work, options, live);
    const gone = owners.filter((owner) => !wanted.includes(owner)).map(({ manager = '' }) => manager);
    const others = error.causes.filter(
      ({ message }) => !gone.some((manager) => message.startsWith(`conflict with ${stringifyJson(manager)}`)),
    );
    if (others.length === 0) return apply(work, target, manifest, { ...options, force: true });
    const told = others.map(({ message, field = '' }) => `${message}: ${field}`).join('; ');
    throw refuse(409, 'Conflict', `Apply failed with conflicts: ${told}`);
  }
}

/** The API refuses to apply fields that it has written itself. */
function withoutManagedFields(manifest: Manifest): object {
  const { managedFields: _, ...metadata } = manifest.metadata as Record<string, unknown>;
  return { ...manifest, metadata };
}
