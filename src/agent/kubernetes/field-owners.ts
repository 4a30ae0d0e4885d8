/**
 * Who owns the fields of an object (`metadata.managedFields`), and how that passes to whoever applies it on the server.
 * Pure. The first half is what `kubectl apply --server-side` does (client-go, util/csaupgrade).
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

/** Who applied the object on the client: whoever wrote the annotation in which `kubectl apply` keeps what it applied. */
export function clientSideAppliers(owners: readonly FieldOwner[]): ReadonlySet<string> {
  const appliers = owners.filter(
    ({ operation, fieldsV1 }) =>
      operation === 'Update' &&
      fieldsV1?.['f:metadata']?.['f:annotations']?.[`f:${lastAppliedAnnotation}`] !== undefined,
  );
  return new Set(appliers.map(({ manager = '' }) => manager));
}

/**
 * The owners as they have to be before `manager` applies on the server:
 * - what was applied on the client counts as applied by `manager`, so that what is not in the manifest any more goes;
 * - what `own` wrote without applying (scale, patch, undo ...) belongs to nobody: it is no conflict, and what of it the
 *   manifest does not mention stays, as with `kubectl apply`.
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
      // Paths of another version of the API may mean other fields.
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
