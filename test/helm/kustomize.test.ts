/** The Kustomize bases and overlays in k8s/ are what the charts render with the same settings. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { kustomizations, manifests } from './kustomizations.js';
import { parseObjects, render, toolsOrSkip, type KubernetesObject } from './rendering.js';

/** Without what only one of the two has: names of releases, hashes of configuration, the order of lists of names. */
function normalized(objects: readonly KubernetesObject[]): Map<string, unknown> {
  const byName = objects.map((object): [string, unknown] => {
    const plain = normalize(object) as KubernetesObject;
    return [`${plain.kind} ${plain.metadata.name}`, plain];
  });
  return new Map(byName.sort(([one], [other]) => one.localeCompare(other)));
}

const ownLabels = new Set(['helm.sh/chart', 'app.kubernetes.io/managed-by', 'app.kubernetes.io/version']);

function normalize(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => normalize(item));
    const isNamed = items.every((item) => typeof item === 'object' && item !== null && 'name' in item);
    return isNamed ? items.sort((one, other) => nameOf(one).localeCompare(nameOf(other))) : items;
  }
  if (typeof value === 'string') {
    // A hash of the content ends the name of a generated ConfigMap; comments and order of a file are a matter of taste.
    return name === 'name' ? value.replace(/-[0-9a-z]{10}$/, '') : name.endsWith('.yml') ? parsed(value) : value;
  }
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).flatMap(([key, child]): [string, unknown][] => {
    if (ownLabels.has(key) || key === 'namespace' || key === 'checksum/config') return [];
    const inner = normalize(child, key);
    const isEmpty = typeof inner === 'object' && inner !== null && Object.keys(inner).length === 0;
    return isEmpty && key === 'annotations' ? [] : [[key, inner]];
  });
  return Object.fromEntries(entries.sort(([one], [other]) => one.localeCompare(other)));
}

function nameOf(item: unknown): string {
  return (item as { readonly name: string }).name;
}

function parsed(yaml: string): unknown {
  return normalize(parseObjects(yaml)[0]);
}

test('every directory is compared', (t) => {
  const overlays = readdirSync(join(manifests, 'overlays')).map((name) => `overlays/${name}`);
  const bases = readdirSync(manifests).filter((name) => !['overlays', 'monitoring', 'README.md'].includes(name));
  t.same([...bases, ...overlays].sort(), Object.keys(kustomizations).sort());
  t.end();
});

for (const [directory, { chart, values, options }] of Object.entries(kustomizations)) {
  test(`k8s/${directory} is what the chart renders`, async (t) => {
    const tools = await toolsOrSkip(t);
    if (tools === undefined) return;
    const built = parseObjects(await tools.kubectl(['kustomize', join(manifests, directory)]));
    const rendered = await render(tools, chart, values, { ...options, args: ['--skip-tests'] });
    const [ours, charts] = [normalized(built), normalized(rendered)];
    t.same([...ours.keys()], [...charts.keys()]);
    for (const [name, object] of ours) t.strictSame(object, charts.get(name), name);
    for (const { kind, metadata } of built) {
      if (!kind.startsWith('Cluster')) t.equal(metadata.namespace, options.namespace, metadata.name);
    }
  });
}
