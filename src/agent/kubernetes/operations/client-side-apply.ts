/**
 * Apply as `kubectl apply` did before server-side apply: three versions of an object (last applied, new, live)
 * make one patch. The last applied version is kept in an annotation, which kubectl reads and writes too.
 */

import { isJsonObject, parseJson, type JsonObject } from '../../../documents/exact-json.js';
import { lastAppliedAnnotation as annotation, type KubernetesObject } from '../../../kubernetes/client.js';
import { pathOf } from '../api-resources.js';
import { goJson } from '../go-json.js';
import { judged } from '../judged.js';
import type { Manifest } from '../manifest.js';
import { patchSchemaOf, strategicMergePatch } from '../patch-schema.js';
import { threeWayPatch } from '../three-way-patch.js';
import type { TargetObject, Work } from '../work.js';

export function clientSideApply(
  work: Work,
  target: TargetObject,
  manifest: Manifest,
  query: Readonly<Record<string, string>>,
): Promise<KubernetesObject> {
  const modified = withAnnotation(manifest, target.namespace);
  const { path, resource, namespace } = target;
  return work.readThenWrite(async () => {
    const live = await work.find(path);
    if (live === undefined) {
      return work.send({ method: 'POST', path: pathOf(resource, namespace), query, body: withoutNulls(modified) });
    }
    const schema = await patchSchemaOf(work, resource);
    const current = live as unknown as JsonObject;
    const body = threeWayPatch({ original: lastApplied(live), modified, current }, schema);
    if (Object.keys(body).length === 0) return live;
    const contentType = schema === undefined ? 'application/merge-patch+json' : strategicMergePatch;
    return judged(work, target, withoutNulls(modified), () =>
      work.send({ method: 'PATCH', path, query, body, contentType }, true),
    );
  });
}

function withAnnotation({ metadata, ...rest }: Manifest, namespace: string): JsonObject {
  const { [annotation]: _, ...given } = metadata.annotations ?? {};
  // kubectl reads annotations as text, and only these.
  const annotations = Object.fromEntries(Object.entries(given).map(([key, text]) => [key, text ?? '']));
  const place = namespace === '' ? {} : { namespace };
  const bare = { ...rest, metadata: { ...metadata, ...place, annotations } };
  // As kubectl does it: an empty map of annotations, a line feed at the end.
  const text = `${goJson(bare)}\n`;
  return { ...bare, metadata: { ...bare.metadata, annotations: { ...annotations, [annotation]: text } } };
}

function lastApplied(live: KubernetesObject): JsonObject {
  try {
    const value = parseJson(live.metadata.annotations?.[annotation] ?? '{}');
    return isJsonObject(value) ? value : {};
  } catch {
    return {};
  }
}

/** A null in a patch deletes a field; a new object has nothing to delete. */
function withoutNulls<T>(value: T): T {
  if (Array.isArray(value)) return value.map(withoutNulls) as T;
  if (!isJsonObject(value)) return value;
  const entries = Object.entries(value).filter(([, each]) => each !== null);
  return Object.fromEntries(entries.map(([key, each]) => [key, withoutNulls(each)])) as T;
}
