/** Reads a YAML file of ours that is one list of records under one key. Errors never quote values. */

import type { Static, TObject } from 'typebox';
import Value from 'typebox/value';
import { readSettings, YamlError } from '../../documents/yaml.js';

/**
 * @param expected for each field, the expectation that an error names
 * @throws Error that names the entry and the field
 */
export function readYamlList<Schema extends TObject>(
  text: string,
  key: string,
  schema: Schema,
  expected: Readonly<Record<string, string>>,
): Static<Schema>[] {
  const list = readList(text, key);
  return list.map((entry, index) => {
    if (Value.Check(schema, entry)) return entry;
    const where = `${key}[${String(index)}]`;
    const fields = Object.keys(schema.properties);
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry))
      throw new Error(`${where}: expected a section with ${fields.join(', ')}`);
    const unknown = Object.keys(entry).find((field) => !fields.includes(field));
    if (unknown !== undefined)
      throw new Error(`${where}.${unknown}: no such field; known fields: ${fields.join(', ')}`);
    const values = entry as Readonly<Record<string, unknown>>;
    const wrong = fields.find((field) => {
      if (values[field] === undefined) return schema.required?.includes(field);
      const one = schema.properties[field];
      return one !== undefined && !Value.Check(one, values[field]);
    });
    throw new Error(`${where}.${wrong ?? ''}: ${expected[wrong ?? ''] ?? 'invalid value'}`);
  });
}

function readList(text: string, key: string): unknown[] {
  let content: unknown;
  try {
    // A digest may have digits only, and a name may be 1e3.
    content = readSettings(text, 'text').value;
  } catch (error) {
    throw error instanceof YamlError ? new Error(`not YAML: ${error.message}`) : error;
  }
  const list = (content as Readonly<Record<string, unknown>> | null | undefined)?.[key];
  if (!Array.isArray(list) || Object.keys(content as object).length !== 1)
    throw new Error(`expected a list under "${key}", and nothing else`);
  return list as unknown[];
}
