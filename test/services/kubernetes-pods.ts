/** Pods without a kubelet: their status is what the test says. */

import { waitFor } from '../wait.js';
import { KubernetesApiError, type KubernetesApi, type KubernetesObject } from './kubernetes-api.js';

export interface PodOptions {
  readonly namespace?: string;
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** One per address family; default 10.0.0.1. */
  readonly ips?: readonly string[];
  readonly ready?: boolean;
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
}

const pods = (namespace: string): string => `/api/v1/namespaces/${namespace}/pods`;

/** A running pod on a node that is an object only, which the controller of EndpointSlices asks for. */
export async function makePod(api: KubernetesApi, options: PodOptions): Promise<void> {
  const { namespace = 'default', name, labels = {}, ports = [] } = options;
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: { nodeName: 'node', containers: [{ name: 'main', image: 'none', ports }] },
  };
  await api
    .post('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node' } })
    .catch((error: unknown) => {
      if (!(error instanceof KubernetesApiError && error.status === 409)) throw error;
    });
  // A new namespace gets its service account from a controller.
  await waitFor(() => api.post(pods(namespace), pod), { description: `pod ${name}` });
  await setPod(api, options);
}

/** Sets addresses and readiness of a pod, also of one that a controller has made. */
export async function setPod(api: KubernetesApi, options: PodOptions): Promise<void> {
  const { namespace = 'default', name, ips = ['10.0.0.1'], ready = true } = options;
  const status = ready ? 'True' : 'False';
  const lastTransitionTime = new Date().toISOString().replace(/\.\d+Z/u, 'Z');
  const conditions = ['Initialized', 'ContainersReady', 'Ready'].map((type) => ({ type, status, lastTransitionTime }));
  await api.patch(`${pods(namespace)}/${name}/status`, {
    status: { phase: 'Running', podIP: ips[0], podIPs: ips.map((ip) => ({ ip })), conditions },
  });
}

/** Removes a pod at once, as its kubelet would when its containers have ended. */
export async function deletePod(api: KubernetesApi, name: string, namespace = 'default'): Promise<void> {
  await api.delete(`${pods(namespace)}/${name}`);
}

/** A Service over pods by label `app`. */
export function makeService(
  api: KubernetesApi,
  name: string,
  spec: { readonly app: string; readonly namespace?: string; readonly [key: string]: unknown },
): Promise<KubernetesObject> {
  const { app, namespace = 'default', ...rest } = spec;
  return api.post(`/api/v1/namespaces/${namespace}/services`, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { selector: { app }, ports: [{ name: 'http', port: 7002, targetPort: 7002 }], ...rest },
  });
}
