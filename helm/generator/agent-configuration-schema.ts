/** As configuration-schema.ts, for the agent's file: what may be written in it, not what it is once it is read. */

import Type, { type TSchema } from 'typebox';
import type { JsonSchema } from './configuration-schema.js';
import { anyCase } from './patterns.js';

/**
 * @param schema the program's own
 * @param unused dotted keys that are accepted with everything below them, and why they mean nothing
 */
export function agentConfigurationSchema(schema: TSchema, unused: ReadonlyMap<string, string>): JsonSchema {
  return written(schema, '', unused);
}

function written(schema: TSchema, key: string, unused: ReadonlyMap<string, string>): JsonSchema {
  const plain = schema as unknown as JsonSchema;
  const { description, default: value, minimum, maximum, minLength } = plain;
  const about = Object.fromEntries(
    Object.entries({ description, default: value }).filter(([, one]) => one !== undefined),
  );
  if (Type.IsObject(schema) && Object.keys(schema.properties).length > 0) {
    const join = (name: string): string => (key === '' ? name : `${key}.${name}`);
    const properties = Object.entries(schema.properties).map(([name, child]) => [
      name,
      written(child, join(name), unused),
    ]);
    const ignored = [...unused].flatMap(([name, reason]) => {
      const own = name.slice(name.lastIndexOf('.') + 1);
      return join(own) === name ? [[own, { description: `Has no effect: ${reason}.` }]] : [];
    });
    // What has a default need not be written.
    const required = (schema.required ?? []).filter((name) => isRequired(schema.properties[name]));
    return {
      ...about,
      ...{ type: ['object', 'null'], additionalProperties: false },
      ...(required.length === 0 ? {} : { required }),
      properties: Object.fromEntries([...properties, ...ignored]) as JsonSchema,
    };
  }
  if (Type.IsArray(schema))
    return { ...about, type: ['array', 'null'], items: written(schema.items, `${key}[]`, unused) };
  if (plain['secret'] === true) return { ...about, type: ['string', 'null'], pattern: '^(file|env):.+$' };
  if (Type.IsBoolean(schema)) {
    return { ...about, type: ['boolean', 'string', 'null'], pattern: `^(${anyCase(['true', 'false'])})$` };
  }
  if (Type.IsInteger(schema))
    return { ...about, type: ['integer', 'string', 'null'], minimum, maximum, pattern: '^[0-9]+$' };
  if (Type.IsNumber(schema)) {
    return { ...about, type: ['number', 'string', 'null'], minimum, maximum, pattern: '^[0-9]+(\\.[0-9]+)?$' };
  }
  if (Type.IsEnum(schema)) {
    const words = schema.enum.map(String);
    return { ...about, anyOf: [{ enum: [...words, null] }, { type: 'string', pattern: `^(${anyCase(words)})$` }] };
  }
  if (Type.IsString(schema)) {
    const type = Type.IsOptional(schema) || value !== undefined ? ['string', 'null'] : 'string';
    return { ...about, type, ...(minLength === undefined ? {} : { minLength }) };
  }
  return Type.IsObject(schema) ? { ...plain, type: ['object', 'null'] } : about;
}

function isRequired(schema: TSchema | undefined): boolean {
  return schema !== undefined && Type.IsString(schema) && (schema as unknown as JsonSchema)['default'] === undefined;
}
