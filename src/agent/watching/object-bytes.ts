/**
 * A Kubernetes object as it is sent: without fields that only the API server needs, and without the data of Secrets.
 */

import { stringifyJson } from '../../documents/exact-json.js';
import { lastAppliedAnnotation, type KubernetesObject } from '../../kubernetes/client.js';

/** For an item of a list, which lacks its own apiVersion and kind. */
export function objectBytes(
  object: KubernetesObject,
  { apiVersion, kind }: { readonly apiVersion: string; readonly kind: string },
): Buffer {
  const { managedFields: _, ...metadata } = object.metadata as KubernetesObject['metadata'] & {
    managedFields?: unknown;
  };
  const whole = { apiVersion, kind, ...object, metadata };
  return Buffer.from(stringifyJson(kind === 'Secret' ? withoutData(whole) : whole));
}

function withoutData(secret: KubernetesObject): object {
  const { data: _, stringData: __, ...rest } = secret as KubernetesObject & { data?: unknown; stringData?: unknown };
  const { [lastAppliedAnnotation]: applied, ...annotations } = rest.metadata.annotations ?? {};
  return applied === undefined ? rest : { ...rest, metadata: { ...rest.metadata, annotations } };
}
