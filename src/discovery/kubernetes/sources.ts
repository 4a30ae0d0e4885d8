/**
 * The two resources that list the pods of a Service: EndpointSlice (discovery.k8s.io/v1) and its predecessor
 * Endpoints (v1, deprecated since Kubernetes 1.33). Only the fields that are used here, as in the API's reference.
 */

import type { KubernetesObject } from '../../kubernetes/client.js';

export type AddressType = 'IPv4' | 'IPv6' | 'FQDN';

/** One address of one pod, from one object. */
export interface PodAddress {
  readonly id: string;
  readonly namespace: string | undefined;
  readonly type: AddressType;
  readonly address: string;
  readonly port: number;
  readonly ready: boolean;
}

export interface Source {
  readonly group: string;
  readonly resource: string;
  /** The path of the collection in one namespace. */
  path(namespace: string): string;
  /** The Service that the object belongs to. */
  serviceName(object: KubernetesObject): string | undefined;
  /**
   * The pods behind the port of that name, compared without regard to case. An address without `targetRef` has no id.
   */
  addresses(object: KubernetesObject, portName: string): PodAddress[];
}

interface Port {
  readonly name?: string;
  readonly port?: number | null;
}

interface TargetRef {
  readonly name?: string;
  readonly namespace?: string;
}

interface EndpointSlice extends KubernetesObject {
  readonly addressType: AddressType;
  readonly ports?: readonly Port[] | null;
  readonly endpoints?:
    | readonly {
        readonly addresses: readonly string[];
        readonly conditions?: {
          readonly ready?: boolean | null;
          readonly serving?: boolean | null;
          readonly terminating?: boolean | null;
        };
        readonly targetRef?: TargetRef;
      }[]
    | null;
}

interface EndpointAddress {
  readonly ip: string;
  readonly targetRef?: TargetRef;
}

interface Endpoints extends KubernetesObject {
  readonly subsets?:
    | readonly {
        readonly addresses?: readonly EndpointAddress[] | null;
        readonly notReadyAddresses?: readonly EndpointAddress[] | null;
        readonly ports?: readonly Port[] | null;
      }[]
    | null;
}

/**
 * `ready` must match the pod's Ready condition. `conditions.serving` is that condition; `conditions.ready` is
 * true without it if the Service has `publishNotReadyAddresses`, and false while the pod terminates. null is yes for
 * both, and no for `terminating`. So a pod is ready if no field denies it.
 */
export const endpointSlices: Source = {
  group: 'discovery.k8s.io',
  resource: 'endpointslices',
  path: (namespace) => `/apis/discovery.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/endpointslices`,
  serviceName: (object) => object.metadata.labels?.['kubernetes.io/service-name'],
  addresses: (object, portName) => {
    const slice = object as EndpointSlice;
    return portsNamed(slice.ports, portName).flatMap((port) =>
      (slice.endpoints ?? []).flatMap(({ addresses, conditions = {}, targetRef }) => {
        const { ready, serving, terminating } = conditions;
        const isReady = ready !== false && serving !== false && terminating !== true;
        // The addresses of one endpoint are interchangeable, and clients take the first.
        return podAddress(targetRef, slice.addressType, addresses[0], port, isReady);
      }),
    );
  },
};

export const endpoints: Source = {
  group: '',
  resource: 'endpoints',
  path: (namespace) => `/api/v1/namespaces/${encodeURIComponent(namespace)}/endpoints`,
  serviceName: (object) => object.metadata.name,
  addresses: (object, portName) => {
    const { subsets } = object as Endpoints;
    return (subsets ?? []).flatMap((subset) =>
      portsNamed(subset.ports, portName).flatMap((port) => {
        const all = (list: readonly EndpointAddress[] | null | undefined, ready: boolean): PodAddress[] =>
          (list ?? []).flatMap(({ ip, targetRef }) =>
            podAddress(targetRef, ip.includes(':') ? 'IPv6' : 'IPv4', ip, port, ready),
          );
        return [...all(subset.addresses, true), ...all(subset.notReadyAddresses, false)];
      }),
    );
  },
};

function portsNamed(ports: readonly Port[] | null | undefined, name: string): number[] {
  const wanted = name.toLowerCase();
  return (ports ?? []).flatMap((port) => (port.name?.toLowerCase() === wanted && port.port ? [port.port] : []));
}

function podAddress(
  targetRef: TargetRef | undefined,
  type: AddressType,
  address: string | undefined,
  port: number,
  ready: boolean,
): PodAddress[] {
  if (targetRef?.name === undefined || address === undefined) return [];
  return [{ id: targetRef.name, namespace: targetRef.namespace, type, address, port, ready }];
}
