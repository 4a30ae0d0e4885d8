/** Kubernetes objects that look like those of a cluster, for simulated results and requests. */

export interface ObjectName {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** An object as UTF-8 JSON, padded with an annotation to at least `minimumBytes`; `metadata` goes over what is made up. */
export function manifest(
  object: ObjectName,
  minimumBytes: number,
  random: () => number = () => 0.5,
  metadata: object = {},
): Uint8Array {
  const { apiVersion, kind, namespace, name } = object;
  const revision = Math.floor(random() * 1_000_000);
  const document = {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === '' ? {} : { namespace }),
      uid: uid(random),
      resourceVersion: String(revision),
      generation: 1 + (revision % 9),
      creationTimestamp: '2024-01-01T00:00:00Z',
      labels: { 'app.kubernetes.io/name': name, 'app.kubernetes.io/managed-by': 'spinnaker' },
      annotations: {} as Record<string, string>,
      ...metadata,
    },
    ...body(kind, name, random),
  };
  const missing = minimumBytes - JSON.stringify(document).length - paddingKey.length - 5;
  if (missing > 0) document.metadata.annotations[paddingKey] = 'x'.repeat(missing);
  return Buffer.from(JSON.stringify(document));
}

const paddingKey = 'simulate/padding';

function body(kind: string, name: string, random: () => number): object {
  const template = {
    metadata: { labels: { 'app.kubernetes.io/name': name } },
    spec: { containers: [{ name: 'main', image: `registry.example/${name}:1.0.${Math.floor(random() * 100)}` }] },
  };
  if (kind === 'Pod') {
    const podIP = `10.0.${Math.floor(random() * 256)}.${Math.floor(random() * 256)}`;
    return { spec: template.spec, status: { phase: 'Running', podIP } };
  }
  if (kind === 'Job') return { spec: { template }, status: { succeeded: 1 } };
  if (kind === 'Deployment' || kind === 'ReplicaSet' || kind === 'StatefulSet') {
    const selector = { matchLabels: { 'app.kubernetes.io/name': name } };
    return { spec: { replicas: 2, selector, template }, status: { replicas: 2, readyReplicas: 2 } };
  }
  return {};
}

/** A version 4 UUID (RFC 9562) of the given random numbers. */
function uid(random: () => number): string {
  const digits = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('');
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-a${digits.slice(17, 20)}-${digits.slice(20)}`;
}
