/** Makes Endpoints and EndpointSlices as Kubernetes' controllers make them. */

import type { StoredObject } from './object-store.js';

export interface Pod {
  readonly name: string;
  readonly ip: string;
  /** Its Ready condition; default true. */
  readonly ready?: boolean;
  readonly terminating?: boolean;
}

export interface ServiceShape {
  readonly service: string;
  readonly pods: readonly Pod[];
  readonly namespace?: string;
  /** Default: one named http, 7002. */
  readonly ports?: readonly { readonly name: string; readonly port: number }[];
}

const defaultPorts = [{ name: 'http', port: 7002 }];

/** @param shape `name` tells slices of one Service apart; default `SERVICE-abcde` */
export function endpointSlice(
  shape: ServiceShape & { readonly name?: string; readonly addressType?: 'IPv4' | 'IPv6' },
): StoredObject & { readonly endpoints: readonly object[] | null } {
  const { service, pods, namespace = 'spinnaker', ports = defaultPorts } = shape;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: shape.name ?? `${service}-abcde`,
      namespace,
      labels: {
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
        'kubernetes.io/service-name': service,
      },
    },
    addressType: shape.addressType ?? 'IPv4',
    ports: ports.map((port) => ({ ...port, protocol: 'TCP' })),
    // The API server writes an empty list of this type as null.
    endpoints:
      pods.length === 0
        ? null
        : pods.map(({ name, ip, ready = true, terminating = false }) => ({
            addresses: [ip],
            conditions: { ready: ready && !terminating, serving: ready, terminating },
            targetRef: { kind: 'Pod', namespace, name, uid: `uid-${name}` },
          })),
  } as StoredObject & { readonly endpoints: readonly object[] | null };
}

/** A pod that terminates is not in Endpoints at all. */
export function endpoints(shape: ServiceShape): StoredObject {
  const { service, namespace = 'spinnaker', ports = defaultPorts } = shape;
  const pods = shape.pods.filter((pod) => pod.terminating !== true);
  const addresses = (ready: boolean): object[] =>
    pods
      .filter((pod) => (pod.ready ?? true) === ready)
      .map(({ name, ip }) => ({ ip, targetRef: { kind: 'Pod', namespace, name, uid: `uid-${name}` } }));
  const subset = {
    ...(addresses(true).length > 0 ? { addresses: addresses(true) } : {}),
    ...(addresses(false).length > 0 ? { notReadyAddresses: addresses(false) } : {}),
    ports: ports.map((port) => ({ ...port, protocol: 'TCP' })),
  };
  return {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: service, namespace },
    ...(pods.length > 0 ? { subsets: [subset] } : {}),
  };
}
