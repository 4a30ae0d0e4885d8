/**
 * The patch of a client-side apply: new fields win over live ones, fields of the last applied version that are no
 * longer in the new one are removed, and all others stay. With a schema it is a strategic merge patch, whose lists are
 * merged by key (kubernetes/community, sig-api-machinery/strategic-merge-patch.md); without one a JSON merge patch (RFC
 * 7386). Pure.
 */

import { isDeepStrictEqual } from 'node:util';
import { ExactNumber, isJsonObject, stringifyJson, type JsonObject } from '../../documents/exact-json.js';
import type { PatchSchema } from './patch-schema.js';

export interface Versions {
  /** The last applied version. */
  readonly original: JsonObject;
  /** The new version. */
  readonly modified: JsonObject;
  /** The live version. */
  readonly current: JsonObject;
}

/** @returns an empty patch if there is nothing to do */
export function threeWayPatch(
  { original, modified, current }: Versions,
  schema: PatchSchema | undefined,
): Record<string, unknown> {
  // Without a prototype for now, because a key may be "__proto__".
  const patch = Object.create(null) as Record<string, unknown>;
  for (const [key, value] of Object.entries(modified)) {
    const [before, live] = [own(original, key), own(current, key)];
    if (value === null) {
      // A JSON merge patch of kubectl keeps a value that others set if the same null was applied before.
      if (live !== undefined && (schema !== undefined || before !== null)) patch[key] = null;
    } else if (live === undefined) patch[key] = value;
    else if (isJsonObject(value) && isJsonObject(live)) {
      const field = schema?.field(key);
      const below = threeWayPatch(
        { original: isJsonObject(before) ? before : {}, modified: value, current: live },
        field,
      );
      if (field?.retainKeys === true) Object.assign(below, retained(below, value, live));
      if (Object.keys(below).length > 0) patch[key] = below;
    } else if (Array.isArray(value) && Array.isArray(live) && schema?.field(key)?.mergesList === true) {
      const lists = { original: Array.isArray(before) ? before : [], modified: value, current: live };
      Object.assign(patch, listPatch(key, lists, schema.field(key) as PatchSchema));
    } else if (!isDeepStrictEqual(value, live)) patch[key] = value;
  }
  for (const key of Object.keys(original)) {
    if (!Object.hasOwn(modified, key) && own(current, key) !== undefined) patch[key] = null;
  }
  return { ...patch };
}

/** Users choose the keys: "constructor" and "toString" exist only if they were written. */
function own(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

interface Lists {
  readonly original: readonly unknown[];
  readonly modified: readonly unknown[];
  readonly current: readonly unknown[];
}

function listPatch(name: string, lists: Lists, schema: PatchSchema): Record<string, unknown> {
  const { original, modified, current } = lists;
  const { mergeKey } = schema;
  if (mergeKey === undefined) {
    const missing = modified.filter((item) => !includes(current, item));
    const surplus = original.filter((item) => !includes(modified, item) && includes(current, item));
    const ordered = isDeepStrictEqual(modified, current) || modified.length === 0;
    return {
      ...(missing.length > 0 ? { [name]: missing } : {}),
      ...(surplus.length > 0 ? { [`$deleteFromPrimitiveList/${name}`]: surplus } : {}),
      ...(ordered ? {} : { [`$setElementOrder/${name}`]: modified }),
    };
  }
  const [before, wanted, live] = [original, modified, current].map((list) => byKey(list, mergeKey));
  if (before === undefined || wanted === undefined || live === undefined) {
    // Two items with one key (such as a port with two protocols) cannot be told apart: all of them are written.
    return isDeepStrictEqual(modified, current) ? {} : { [name]: [{ $patch: 'replace' }, ...modified] };
  }
  const changes: unknown[] = [];
  for (const [key, item] of wanted) {
    const now = live.get(key);
    if (now === undefined) changes.push(item);
    else {
      const below = threeWayPatch({ original: before.get(key) ?? {}, modified: item, current: now }, schema.item());
      if (schema.retainKeys) Object.assign(below, retained(below, item, now));
      if (Object.keys(below).length > 0) changes.push({ ...below, [mergeKey]: item[mergeKey] });
    }
  }
  for (const [key, item] of before) {
    if (!wanted.has(key) && live.has(key)) changes.push({ $patch: 'delete', [mergeKey]: item[mergeKey] });
  }
  const keys = [...wanted.values()].map((item) => ({ [mergeKey]: item[mergeKey] }));
  if (changes.length === 0 && isDeepStrictEqual([...wanted.keys()], [...live.keys()])) return {};
  // Items of others keep their places between these.
  const order = keys.length === 0 ? {} : { [`$setElementOrder/${name}`]: keys };
  return { ...order, ...(changes.length === 0 ? {} : { [name]: changes }) };
}

function includes(list: readonly unknown[], item: unknown): boolean {
  return list.some((each) => isDeepStrictEqual(each, item));
}

/** By the key as JSON, which exact numbers have in common. Undefined when items cannot be told apart by it. */
function byKey(list: readonly unknown[], mergeKey: string): Map<string, JsonObject> | undefined {
  const items = new Map<string, JsonObject>();
  for (const item of list) {
    const key = isJsonObject(item) ? item[mergeKey] : undefined;
    // A key that is an object or a list would make the API server fail (a panic: it cannot be hashed).
    if (!isJsonObject(item) || key === undefined || (typeof key === 'object' && !(key instanceof ExactNumber)))
      return undefined;
    const text = stringifyJson(key);
    if (items.has(text)) return undefined;
    items.set(text, item);
  }
  return items;
}

/** In a union such as a Deployment's `strategy`: fields that are not named are removed. */
function retained(changes: JsonObject, value: JsonObject, live: JsonObject): JsonObject {
  const named = Object.keys(value).filter((key) => value[key] !== null);
  const differs = Object.keys(changes).length > 0 || Object.keys(live).some((key) => !Object.hasOwn(value, key));
  return named.length > 0 && differs ? { $retainKeys: named } : {};
}
