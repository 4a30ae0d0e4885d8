/** A chart as Kubernetes gets it, and what a container of it would run with. */

import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import type {
  V1ClusterRole,
  V1ConfigMap,
  V1Secret,
  V1Deployment,
  V1EnvVar,
  V1PodSpec,
  V1Role,
  V1Service,
  V1Volume,
} from '@kubernetes/client-node';
import type { Test } from 'tap';
import { clusterTools, type ClusterTools } from '../services/helm.js';

/** Values of a chart: any JSON object. */
export interface Values {
  readonly [name: string]: unknown;
}

/** Objects of Kubernetes by kind, as far as tests take them apart. */
interface Kinds {
  readonly ConfigMap: V1ConfigMap;
  readonly Secret: V1Secret;
  readonly Deployment: V1Deployment;
  readonly Role: V1Role;
  readonly ClusterRole: V1ClusterRole;
  readonly Service: V1Service;
  readonly NetworkPolicy: { readonly spec: unknown };
  readonly PrometheusRule: { readonly spec: unknown };
  readonly Certificate: { readonly spec: { readonly dnsNames: readonly string[] } };
}

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

export const helmDirectory = fileURLToPath(new URL('../../helm/', import.meta.url));

/** The tools; a test that cannot have them is skipped, with the reason. */
export async function toolsOrSkip(t: Test): Promise<ClusterTools | undefined> {
  const tools = await clusterTools();
  if (typeof tools !== 'string') return tools;
  t.pass(`skipped: ${tools}`, { skip: tools });
  return undefined;
}

export interface RenderOptions {
  readonly namespace?: string;
  readonly release?: string;
  /** More arguments of `helm template`. */
  readonly args?: readonly string[];
}

/** `helm template` with these values. @throws Error with what helm says */
export async function render(
  { helm }: Pick<ClusterTools, 'helm'>,
  chart: string,
  values: Values,
  { namespace = 'spinnaker', release = 'gw', args = [] }: RenderOptions = {},
): Promise<KubernetesObject[]> {
  const command = ['template', release, join(helmDirectory, chart), '--namespace', namespace, '--values', '-', ...args];
  return parseObjects(await helm(command, { stdin: JSON.stringify(values) }));
}

/** Objects of a stream of YAML documents, read as Kubernetes reads them (YAML 1.1). */
export function parseObjects(yaml: string): KubernetesObject[] {
  const documents = parseAllDocuments(yaml, { version: '1.1' });
  return Array.from(documents).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    const content = document.toJS() as KubernetesObject | null;
    return content === null ? [] : [content];
  });
}

/** The one object of this kind, and with such a name. */
export function objectOf<Kind extends keyof Kinds>(
  objects: readonly KubernetesObject[],
  kind: Kind,
  name = /^/,
): KubernetesObject & Kinds[Kind] {
  const found = objects.filter((object) => object.kind === kind && name.test(object.metadata.name));
  if (found.length !== 1) throw new Error(`${found.length} objects of kind ${kind}`);
  return found[0] as KubernetesObject & Kinds[Kind];
}

export function podOf(objects: readonly KubernetesObject[]): V1PodSpec {
  return objectOf(objects, 'Deployment').spec!.template.spec!;
}

/** What a pod's container finds: its arguments, its variables, and its files below a directory of this machine. */
export interface ContainerSurroundings {
  readonly args: readonly string[];
  readonly environment: Record<string, string>;
  /** A path of the container on this machine. */
  readonly pathOf: (path: string) => string;
}

/**
 * Lays out the volumes of a Deployment's first container below a temporary directory.
 * @param secrets what Secrets hold, by name and key
 */
export async function containerSurroundings(
  t: Test,
  objects: readonly KubernetesObject[],
  secrets: Readonly<Record<string, Readonly<Record<string, string>>>> = {},
  podName = 'gw-7d9c5b8f6-x2x9k',
): Promise<ContainerSurroundings> {
  const root = await mkdtemp(join(tmpdir(), 'agent-gateway-chart-'));
  t.teardown(() => rm(root, { recursive: true, force: true }));
  const { containers, volumes = [] } = podOf(objects);
  const { args = [], env = [], volumeMounts = [] } = containers[0]!;
  /** Absolute paths of the container, wherever they are written. */
  const local = (text: string): string => text.replaceAll('/etc/agent-gateway/', join(root, '/etc/agent-gateway/'));
  const contentOf = ({ secret, configMap }: V1Volume): Readonly<Record<string, string>> => {
    if (secret !== undefined) return secrets[secret.secretName!] ?? {};
    if (configMap === undefined) return {};
    return objectOf(objects, 'ConfigMap', new RegExp(`^${configMap.name!}$`)).data!;
  };
  for (const { name, mountPath, subPath } of volumeMounts) {
    const volume = volumes.find((one) => one.name === name);
    if (volume === undefined) throw new Error(`there is no volume ${name}`);
    for (const [key, text] of Object.entries(contentOf(volume))) {
      if (subPath !== undefined && subPath !== key) continue;
      const path = join(root, subPath === undefined ? join(mountPath, key) : mountPath);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, local(text));
    }
  }
  const fields: Readonly<Record<string, string>> = {
    'metadata.name': podName,
    'metadata.namespace': 'spinnaker',
    'status.podIP': '10.0.0.7',
  };
  const valueOf = ({ value = '', valueFrom }: V1EnvVar): string => {
    if (valueFrom?.fieldRef !== undefined) return fields[valueFrom.fieldRef.fieldPath]!;
    if (valueFrom?.secretKeyRef !== undefined)
      return secrets[valueFrom.secretKeyRef.name!]![valueFrom.secretKeyRef.key]!;
    return local(value);
  };
  return {
    args: args.map(local),
    environment: Object.fromEntries(env.map((variable) => [variable.name, valueOf(variable)])),
    pathOf: (path) => join(root, path),
  };
}
