/**
 * Apply as `kubectl apply` did before server-side apply: three versions of an object (applied last, to be applied, live)
 * make one patch. What was applied last is kept in an annotation, which kubectl reads and writes too.
 */

import { isJsonObject, parseJson, stringifyJson, type JsonObject } from '../../../documents/exact-json.js';
import { ApiError, lastAppliedAnnotation as annotation, type KubernetesObject } from '../../../kubernetes/client.js';
import { pathOf } from '../api-resources.js';
import { patchSchemaOf } from '../patch-schema.js';
import { threeWayPatch } from '../three-way-patch.js';
import type { Target, Work } from '../work.js';

export async function clientSideApply(
  work: Work,
  target: Target,
  manifest: KubernetesObject & Record<string, unknown>,
  query: Readonly<Record<string, string>>,
): Promise<KubernetesObject> {
  const modified = withAnnotation(manifest);
  const { path, resource, namespace } = target;
  const live = await work.find(path);
  if (live === undefined)
    return work.send({ method: 'POST', path: pathOf(resource, namespace), query, body: modified });
  const versions = {
    original: lastApplied(live),
    modified: modified as unknown as JsonObject,
    current: live as unknown as JsonObject,
  };
  const schema = await patchSchemaOf(work, resource);
  const strategic = threeWayPatch(versions, schema);
  if (Object.keys(strategic).length === 0) return live;
  const patch = (body: object, contentType: string) =>
    work.send({ method: 'PATCH', path, query, body, contentType: `application/${contentType}+json` }, true);
  if (schema === undefined) return patch(strategic, 'merge-patch');
  try {
    return await patch(strategic, 'strategic-merge-patch');
  } catch (error) {
    // Objects of custom resources are merged by JSON alone.
    if (!(error instanceof ApiError && error.status === 415)) throw error;
    return patch(threeWayPatch(versions, undefined), 'merge-patch');
  }
}

function withAnnotation(manifest: KubernetesObject & Record<string, unknown>): KubernetesObject {
  const { [annotation]: _, ...annotations } = manifest.metadata.annotations ?? {};
  const bare = { ...manifest, metadata: { ...manifest.metadata, annotations } };
  // Byte for byte as kubectl writes it: an empty map of annotations, a line feed at the end.
  const text = `${stringifyJson(sorted(bare))}\n`;
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

/** Go writes maps in the order of their keys. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isJsonObject(value)) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]) => [key, sorted(each)]));
}
