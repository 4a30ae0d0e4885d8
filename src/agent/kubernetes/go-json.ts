/** JSON byte for byte as Go's encoding/json writes it: kubectl's form of the last applied object. */

import { isJsonObject, stringifyJson } from '../../documents/exact-json.js';

/** Keys in the order of their bytes; `<`, `>` and `&` escaped for HTML. */
export function goJson(value: unknown): string {
  return ordered(value).replaceAll(/[<>&\u2028\u2029]/gu, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

function ordered(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(ordered).join(',')}]`;
  if (!isJsonObject(value)) return stringifyJson(value);
  const entries = Object.entries(value).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `{${entries.map(([key, each]) => `${stringifyJson(key)}:${ordered(each)}`).join(',')}}`;
}
