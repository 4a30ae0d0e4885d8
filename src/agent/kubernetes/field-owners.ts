/**
 * The owners of an object's fields (`metadata.managedFields`), and how they pass to a manager that applies server-side.
 * Pure. The first half does the same as `kubectl apply --server-side` (client-go, util/csaupgrade).
 */

import { isDeepStrictEqual } from 'node:util';
import { lastAppliedAnnotation, type KubernetesObject } from '../../kubernetes/client.js';

/** A tree of paths: `{"f:metadata": {"f:labels": {"f:app": {}}}}`. */
interface FieldSet {
  readonly [element: string]: FieldSet;
}

/** One entry of `metadata.managedFields`. */
export interface FieldOwner {
  readonly manager?: string;
  readonly operation?: 'Apply' | 'Update';
  readonly apiVersion?: string;
  readonly subresource?: string;
  readonly fieldsV1?: FieldSet;
}

export function fieldOwners({ metadata }: KubernetesObject): readonly FieldOwner[] {
  return (metadata as { readonly managedFields?: readonly FieldOwner[] }).managedFields ?? [];
}

/**
 * The manager that applied the object client-side: it wrote the annotation in which `kubectl apply` keeps the applied
 * object.
 */
export function clientSideAppliers(owners: readonly FieldOwner[]): ReadonlySet<string> {
  const appliers = owners.filter(
    ({ operation, fieldsV1 }) =>
      operation === 'Update' &&
      fieldsV1?.['f:metadata']?.['f:annotations']?.[`f:${lastAppliedAnnotation}`] !== undefined,
  );
  return new Set(appliers.map(({ manager = '' }) => manager));
}

/**
 * The owners as they must be before `manager` applies server-side:
 * - fields applied client-side count as applied by `manager`, so that fields no longer in the manifest are removed;
 * - fields that `own` wrote without applying (scale, patch, undo ...) have no owner: they do not conflict, and those
 *   that the manifest does not mention stay, as with `kubectl apply`.
 */
export function handedOver(
  owners: readonly FieldOwner[],
  manager: string,
  own: ReadonlySet<string>,
): readonly FieldOwner[] {
  const appliers = clientSideAppliers(owners);
  const wasApplied = (owner: FieldOwner): boolean => isWhole(owner, 'Update') && appliers.has(owner.manager ?? '');
  const before =
    owners.find((owner) => isWhole(owner, 'Apply') && owner.manager === manager) ?? owners.find(wasApplied);
  return owners.flatMap((owner) => {
    if (owner === before) {
      // Paths of another API version may denote other fields.
      const parts = owners.filter((each) => wasApplied(each) && each.apiVersion === owner.apiVersion);
      const fieldsV1 = [owner, ...parts].map((each) => each.fieldsV1 ?? {}).reduce(union);
      return [{ ...owner, manager, operation: 'Apply' as const, fieldsV1 }];
    }
    const dropped = wasApplied(owner) || (owner.operation === 'Update' && own.has(owner.manager ?? ''));
    return dropped ? [] : [owner];
  });
}

/** Whether the fields are those of the object itself, not of a subresource. */
function isWhole({ operation, subresource = '' }: FieldOwner, wanted: FieldOwner['operation']): boolean {
  return operation === wanted && subresource === '';
}

function union(a: FieldSet, b: FieldSet): FieldSet {
  if (isDeepStrictEqual(a, b)) return a;
  const result: Record<string, FieldSet> = { ...a };
  for (const [element, below] of Object.entries(b)) result[element] = union(result[element] ?? {}, below);
  return result;
}
