/** Objects that the tests of test/world make; their containers run on the node double. */

interface Container {
  readonly command?: readonly string[];
  readonly image?: string;
  readonly [field: string]: unknown;
}

export function pod(name: string, container: Container = {}, spec: object = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'main', image: 'none', ...container }],
      ...spec,
    },
  };
}

export function deployment(name: string, replicas = 2, image = 'none:1'): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, labels: { app: name } },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'main', image }] },
      },
    },
  };
}

export function configMap(name: string, data: Readonly<Record<string, string>> = {}, metadata: object = {}): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data };
}

export function service(name: string): object {
  const spec = { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] };
  return { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec };
}

/** A resource of our own, with a version of its own in discovery. */
export function resourceDefinition(group: string): object {
  const schema = {
    openAPIV3Schema: { type: 'object', properties: { size: { type: 'integer', description: 'In inches.' } } },
  };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `gadgets.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural: 'gadgets', singular: 'gadget', kind: 'Gadget', shortNames: ['gdt'] },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  };
}
