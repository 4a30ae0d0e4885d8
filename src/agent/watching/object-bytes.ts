/** A Kubernetes object as it is sent: without what only the API server needs, and without the data of Secrets. */

import { lastAppliedAnnotation, type KubernetesObject } from '../../kubernetes/client.js';

/** @param type what the items of a list do not say */
export function objectBytes(
  object: KubernetesObject,
  type: { readonly apiVersion: string; readonly kind: string },
): Buffer {
  const { managedFields: _, ...metadata } = object.metadata as KubernetesObject['metadata'] & {
    managedFields?: unknown;
  };
  const whole = { ...type, ...object, metadata };
  return Buffer.from(JSON.stringify(type.kind === 'Secret' ? withoutData(whole) : whole));
}

function withoutData(secret: KubernetesObject): object {
  const { data: _, stringData: __, ...rest } = secret as KubernetesObject & { data?: unknown; stringData?: unknown };
  const { [lastAppliedAnnotation]: applied, ...annotations } = rest.metadata.annotations ?? {};
  return applied === undefined ? rest : { ...rest, metadata: { ...rest.metadata, annotations } };
}
