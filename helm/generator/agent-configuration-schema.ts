/** As configuration-schema.ts, for the agent's file: what may be written in it, not what it is once it is read. */

import Type, { type TSchema } from 'typebox';
import type { JsonSchema } from './configuration-schema.js';
import { anyCase, filePath } from './patterns.js';

interface Foreign {
  readonly aliases: ReadonlyMap<string, TSchema>;
  readonly unused: ReadonlyMap<string, string>;
}

/**
 * @param schema the program's own
 * @param aliases other dotted keys, and those that they stand for
 * @param unused dotted keys that are accepted with everything below them, and why they mean nothing
 */
export function agentConfigurationSchema(
  schema: TSchema,
  aliases: ReadonlyMap<string, string>,
  unused: ReadonlyMap<string, string>,
): JsonSchema {
  const meant = [...aliases].map(([alias, key]) => [alias, schemaAt(schema, key)] as const);
  return written(schema, '', { aliases: new Map(meant), unused });
}

function schemaAt(schema: TSchema, key: string): TSchema {
  return key.split('.').reduce((node, part) => {
    const properties: Readonly<Record<string, TSchema>> = Type.IsObject(node) ? node.properties : {};
    const child = properties[part.replace('[]', '')];
    if (child === undefined) throw new Error(`${key} does not exist`);
    return part.endsWith('[]') && Type.IsArray(child) ? child.items : child;
  }, schema);
}

function written(schema: TSchema, key: string, foreign: Foreign): JsonSchema {
  const plain = schema as unknown as JsonSchema;
  const { description, default: value, minimum, maximum, minLength } = plain;
  const about = Object.fromEntries(
    Object.entries({ description, default: value }).filter(([, one]) => one !== undefined),
  );
  if (Type.IsObject(schema) && Object.keys(schema.properties).length > 0) {
    const join = (name: string): string => (key === '' ? name : `${key}.${name}`);
    const properties = Object.entries(schema.properties).map(([name, child]) => [
      name,
      written(child, join(name), foreign),
    ]);
    const own = (name: string): string[] => {
      const last = name.slice(name.lastIndexOf('.') + 1);
      return join(last) === name ? [last] : [];
    };
    const ignored = [...foreign.unused].flatMap(([name, reason]) =>
      own(name).map((last) => [last, { description: `Has no effect: ${reason}.` }]),
    );
    const others = [...foreign.aliases].flatMap(([name, child]) =>
      own(name).map((last) => [last, written(child, name, foreign)]),
    );
    // What has a default need not be written.
    const required = (schema.required ?? []).filter((name) => isRequired(schema.properties[name]));
    return {
      ...about,
      ...{ type: ['object', 'null'], additionalProperties: false },
      ...(required.length === 0 ? {} : { required }),
      properties: Object.fromEntries([...properties, ...others, ...ignored]) as JsonSchema,
    };
  }
  if (Type.IsArray(schema))
    return { ...about, type: ['array', 'null'], items: written(schema.items, `${key}[]`, foreign) };
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
    const words = [...schema.enum.map(String), ...Object.keys((plain['synonyms'] as object | undefined) ?? {})];
    return { ...about, anyOf: [{ enum: [...words, null] }, { type: 'string', pattern: `^(${anyCase(words)})$` }] };
  }
  if (Type.IsString(schema)) {
    const type = Type.IsOptional(schema) || value !== undefined ? ['string', 'null'] : 'string';
    const pattern = plain['path'] === true ? { pattern: filePath } : {};
    return { ...about, type, ...(minLength === undefined ? {} : { minLength }), ...pattern };
  }
  if (Type.IsUnion(schema)) return { ...about, anyOf: [...schema.anyOf, { type: 'null' }] };
  return Type.IsObject(schema) ? { ...plain, type: ['object', 'null'] } : about;
}

function isRequired(schema: TSchema | undefined): boolean {
  return schema !== undefined && Type.IsString(schema) && (schema as unknown as JsonSchema)['default'] === undefined;
}
