/** The schema as a flat table of dotted keys: the form that sources, checks and documentation use. */

import Type, { type TSchema } from 'typebox';
import { join } from '../../configuration/yaml.js';
import { configSchema } from './schema.js';

/** One setting. */
export interface Leaf {
  /** Dotted, as in the documentation: `kubesvc.grpc.server.port`. */
  readonly key: string;
  readonly kind: 'boolean' | 'integer' | 'number' | 'bytes' | 'text' | 'choice' | 'list';
  readonly schema: TSchema;
  readonly description: string;
  readonly optional: boolean;
  /** `url`: a URL, whose host may be shown. */
  readonly secret: boolean | 'url';
  /** Whether it is the path of a file, which may be written as in Spring. */
  readonly path: boolean;
  /** Whether it is the URL of a database, which may be written as a JDBC URL. */
  readonly jdbc: boolean;
  readonly default: unknown;
  /** Description of the default, if it depends on other settings. */
  readonly derived?: string;
  /** The values of a choice. */
  readonly choices: readonly string[];
  /** Other words for values of a choice. */
  readonly synonyms: Readonly<Record<string, string>>;
  /** Separator of the items of a list that is written as text. */
  readonly separator: string;
  /** The expected values, as the end of "expected ...". */
  readonly expected: string;
}

/** Sections by dotted key, with their descriptions, in the order of the schema. */
export const sections: ReadonlyMap<string, string> = new Map(collectSections(configSchema, ''));

/** Settings by dotted key, in the order of the schema. */
export const leaves: ReadonlyMap<string, Leaf> = new Map(
  collectLeaves(configSchema, '').map((leaf) => [leaf.key, leaf]),
);

function* collectSections(schema: TSchema, key: string): Generator<[string, string]> {
  if (!Type.IsObject(schema)) return;
  if (key !== '') yield [key, optionOf(schema, 'description', '')];
  for (const [name, child] of Object.entries(schema.properties)) yield* collectSections(child, join(key, name));
}

function collectLeaves(schema: TSchema, key: string): Leaf[] {
  if (Type.IsObject(schema)) {
    return Object.entries(schema.properties).flatMap(([name, child]) => collectLeaves(child, join(key, name)));
  }
  return [leafOf(schema, key)];
}

function leafOf(schema: TSchema, key: string): Leaf {
  const kind = kindOf(schema);
  const derived = optionOf<string | undefined>(schema, 'derived', undefined);
  const choices = Type.IsEnum(schema) ? schema.enum.map(String) : [];
  return {
    key,
    kind,
    schema,
    choices,
    synonyms: optionOf(schema, 'synonyms', {}),
    description: optionOf(schema, 'description', ''),
    optional: Type.IsOptional(schema),
    secret: optionOf(schema, 'secret', false),
    path: optionOf(schema, 'path', false),
    jdbc: optionOf(schema, 'jdbc', false),
    default: optionOf<unknown>(schema, 'default', undefined),
    separator: optionOf(schema, 'separator', ','),
    ...(derived === undefined ? {} : { derived }),
    expected: optionOf<string | undefined>(schema, 'expected', undefined) ?? expectation(schema, kind, choices),
  };
}

function kindOf(schema: TSchema): Leaf['kind'] {
  if (Type.IsBoolean(schema)) return 'boolean';
  if (Type.IsInteger(schema)) return optionOf<string>(schema, 'unit', '') === 'bytes' ? 'bytes' : 'integer';
  if (Type.IsNumber(schema)) return 'number';
  if (Type.IsEnum(schema)) return 'choice';
  if (Type.IsArray(schema)) return 'list';
  return 'text';
}

function expectation(schema: TSchema, kind: Leaf['kind'], choices: readonly string[]): string {
  const limit = (name: 'minimum' | 'maximum') => optionOf(schema, name, 0);
  switch (kind) {
    case 'boolean':
      return 'true or false';
    case 'integer':
      return `a whole number from ${String(limit('minimum'))} to ${String(limit('maximum'))}`;
    case 'number':
      return `a number from ${String(limit('minimum'))} to ${String(limit('maximum'))}`;
    case 'bytes':
      return `a data size such as 4MB, from ${formatBytes(limit('minimum'))} to ${formatBytes(limit('maximum'))}`;
    case 'choice':
      return `one of ${choices.join(', ')}`;
    case 'list': {
      const items = Type.IsArray(schema) && Type.IsEnum(schema.items) ? schema.items.enum : [];
      return items.length === 0 ? 'a list of text' : `a list of ${items.join(', ')}`;
    }
    case 'text':
      return 'text';
  }
}

/** `4194304` as `4MB`, in units of 1024 as Spring's DataSize has them; exact only. */
export function formatBytes(value: number): string {
  if (value >= 1 << 20 && value % (1 << 20) === 0) return `${String(value / (1 << 20))}MB`;
  if (value >= 1 << 10 && value % (1 << 10) === 0) return `${String(value / (1 << 10))}KB`;
  return `${String(value)}B`;
}

function optionOf<T>(schema: TSchema, name: string, otherwise: T): T {
  return ((schema as Readonly<Record<string, unknown>>)[name] as T | undefined) ?? otherwise;
}
