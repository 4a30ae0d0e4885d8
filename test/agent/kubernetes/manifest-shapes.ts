/** What the manifests of the pairs are built from: two versions of one object each. */

export interface Pair {
  readonly apiVersion: string;
  readonly kind: string;
  /** Without a namespace. */
  readonly cluster?: boolean;
  /** The body without apiVersion, kind, metadata.name and metadata.namespace. */
  readonly versions: readonly [object, object];
  /** What somebody else writes between the two: a merge patch (RFC 7386). */
  readonly theirs?: object;
}

export const labels = { app: 'web' };
type Versions = Pair['versions'];

export const pair = (apiVersion: string, kind: string, versions: Versions, theirs?: object): Pair => ({
  ...{ apiVersion, kind, versions },
  ...(theirs === undefined ? {} : { theirs }),
});
export const clusterWide = (apiVersion: string, kind: string, versions: Versions): Pair => ({
  ...pair(apiVersion, kind, versions),
  cluster: true,
});

export const template = (spec: object, metadata: object = {}) => ({ metadata: { labels, ...metadata }, spec });
export const container = (more: object = {}) => ({ name: 'main', image: 'registry.example.com/web:1', ...more });
export const pod = (more: object = {}, spec: object = {}) => template({ containers: [container(more)], ...spec });

/** Two versions of a Deployment, by what its spec has beside selector and template, or by its pod template. */
export const deployments = (a: object, b: object, theirs?: object): Pair =>
  pair(
    ...(['apps/v1', 'Deployment'] as const),
    [a, b].map((spec) => ({
      spec: { selector: { matchLabels: labels }, template: pod(), ...spec },
    })) as unknown as Versions,
    theirs,
  );
/** Of its only container. */
export const containers = (a: object, b: object, theirs?: object): Pair =>
  deployments({ template: pod(a) }, { template: pod(b) }, theirs);
/** Of its pods. */
export const pods = (a: object, b: object): Pair => deployments({ template: pod({}, a) }, { template: pod({}, b) });
export const configMaps = (a: object, b: object, theirs?: object): Pair => pair('v1', 'ConfigMap', [a, b], theirs);
export const widgets = (a: object, b: object, theirs?: object): Pair =>
  pair('example.com/v1', 'Widget', [{ spec: a }, { spec: b }], theirs);
export const services = (a: object, b: object): Pair =>
  pair('v1', 'Service', [a, b].map((spec) => ({ spec: { selector: labels, ...spec } })) as unknown as Versions);

export const env = (...names: readonly string[]) => ({ env: names.map((name) => ({ name, value: `value-${name}` })) });
export const port = (name: string, number: number, more: object = {}) => ({ name, port: number, ...more });
export const probe = (path: string) => ({ httpGet: { path, port: 8080 }, periodSeconds: 5 });
export const mount = (mountPath: string, more: object = {}) => ({ name: 'v', mountPath, ...more });
export const mounted = { volumes: [{ name: 'v', emptyDir: {} }] };
export const volume = (name: string, more: object) => ({ name, ...more });
export const init = (...names: readonly string[]) => ({
  initContainers: names.map((name) => ({ name, image: 'init', command: ['sh', '-c', `echo "${name}" && true <&-`] })),
});
export const rule = (verbs: readonly string[], resources = ['pods']) => ({ apiGroups: [''], resources, verbs });
export const ingressPath = (path: string, name: string) => ({
  ...{ path, pathType: 'Prefix' },
  backend: { service: { name, port: { number: 80 } } },
});
export const job = (more: object = {}) => ({
  template: { spec: { restartPolicy: 'Never', containers: [container()] } },
  ...more,
});
