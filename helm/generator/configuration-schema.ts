/**
 * The JSON Schema of a configuration file, as a chart takes it below `config:`. The program's own schema says what a value
 * is once it is read; this one says what may be written: numbers as text, sizes with units, other spellings, options of
 * Clouddriver without effect. It is stricter in one thing: a ConfigMap must not hold a secret, only a reference to a file.
 */

import type { Leaf } from '../../src/gateway/config/leaves.js';
import { anyCase, filePath } from './patterns.js';

/** JSON Schema, draft 7. Patterns have to be regular expressions of Go (RE2): Helm checks with them. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/** What a configuration consists of. */
export interface ConfigurationParts {
  readonly leaves: ReadonlyMap<string, Leaf>;
  /** Sections by dotted key, with their descriptions. */
  readonly sections: ReadonlyMap<string, string>;
  /** Other keys of settings. */
  readonly aliases: ReadonlyMap<string, { readonly key: string; readonly factor?: number }>;
  /** Keys that are accepted with everything below them, and why they mean nothing. */
  readonly unused: ReadonlyMap<string, string>;
}

interface Section {
  description: string;
  /** Whether keys that are not listed are accepted. */
  open: boolean;
  readonly members: Map<string, Section | JsonSchema>;
}

export function configurationSchema({ leaves, sections, aliases, unused }: ConfigurationParts): JsonSchema {
  const root: Section = { description: '', open: false, members: new Map() };
  for (const [key, description] of sections) sectionAt(root, key).description = description;
  for (const [key, leaf] of leaves) put(root, key, leafSchema(leaf));
  for (const [key, { key: target, factor = 1 }] of aliases) {
    const leaf = leaves.get(target);
    if (leaf === undefined) throw new Error(`${key} stands for ${target}, which does not exist`);
    put(root, key, { ...leafSchema(leaf, factor), description: `The same as ${target}.` });
  }
  for (const [key, reason] of unused) put(root, key, { description: `Has no effect: ${reason}.` });
  return sectionSchema(root);
}

function put(root: Section, key: string, schema: JsonSchema): void {
  const [parent, name] = split(key);
  const section = parent === '' ? root : sectionAt(root, parent);
  const present = section.members.get(name);
  if (isSection(present)) present.open = true;
  else section.members.set(name, schema);
}

/** The section with this key, made with all above it where it is not there. */
function sectionAt(root: Section, key: string): Section {
  let section = root;
  for (const name of key.split('.')) {
    const member = section.members.get(name);
    if (isSection(member)) {
      section = member;
    } else {
      // What is accepted as a whole stays so when single keys of it mean something.
      const next = { description: '', open: member !== undefined, members: new Map<string, Section | JsonSchema>() };
      section.members.set(name, next);
      section = next;
    }
  }
  return section;
}

function isSection(member: Section | JsonSchema | undefined): member is Section {
  return member !== undefined && member['members'] instanceof Map;
}

function split(key: string): [parent: string, name: string] {
  const dot = key.lastIndexOf('.');
  return [key.slice(0, Math.max(0, dot)), key.slice(dot + 1)];
}

function sectionSchema({ description, open, members }: Section): JsonSchema {
  const properties = [...members].map(([name, member]) => [name, isSection(member) ? sectionSchema(member) : member]);
  return {
    type: ['object', 'null'],
    ...(description === '' ? {} : { description }),
    ...(open ? {} : { additionalProperties: false }),
    properties: Object.fromEntries(properties) as JsonSchema,
  };
}

/** @param factor what a number is multiplied with when it is read */
function leafSchema(leaf: Leaf, factor = 1): JsonSchema {
  const { description, schema } = leaf;
  const limits = Object.fromEntries(
    ['minimum', 'maximum'].flatMap((name) => {
      const limit = (schema as JsonSchema)[name];
      return typeof limit === 'number' ? [[name, limit / factor]] : [];
    }),
  );
  const about = { description, ...(leaf.default === undefined || factor !== 1 ? {} : { default: leaf.default }) };
  switch (leaf.kind) {
    case 'boolean':
      return { ...about, type: ['boolean', 'string', 'null'], pattern: blankAround(anyCase(['true', 'false'])) };
    case 'integer':
      return { ...about, type: ['integer', 'string', 'null'], ...limits, pattern: blankAround('[0-9]{1,15}') };
    case 'number': {
      const pattern = blankAround('[0-9]{1,15}(\\.[0-9]{1,15})?');
      return { ...about, type: ['number', 'string', 'null'], ...limits, pattern };
    }
    case 'bytes':
      return {
        ...about,
        ...{ type: ['integer', 'string', 'null'], ...limits },
        pattern: blankAround('[0-9]{1,15}\\s*([KkMmGg]?[Bb])?'),
      };
    case 'choice': {
      const words = [...leaf.choices, ...Object.keys(leaf.synonyms)];
      return {
        ...about,
        anyOf: [{ enum: [...words, null] }, { type: 'string', pattern: blankAround(anyCase(words)) }],
      };
    }
    case 'list':
      return { ...about, type: ['array', 'string', 'null'], items: (schema as JsonSchema)['items'] };
    case 'text':
      return { ...about, type: ['string', 'null'], ...textRules(leaf) };
  }
}

function textRules(leaf: Leaf): JsonSchema {
  const { pattern, minLength, maxLength } = leaf.schema as JsonSchema;
  if (leaf.path) return { pattern: filePath };
  if (leaf.secret === true) return { pattern: leaf.optional ? '^(file:/.+)?$' : '^file:/.+$' };
  const written = typeof pattern === 'string' ? pattern.replace(/^\^/, '').replace(/\$$/, '') : undefined;
  const alternatives = [
    ...(leaf.optional ? [''] : []),
    ...(written === undefined ? [] : [leaf.jdbc ? `(jdbc:)?(${written})` : written]),
    ...(leaf.secret === 'url' ? ['file:/.+'] : []),
  ];
  const rules = written === undefined ? {} : { pattern: `^(${alternatives.join('|')})$` };
  return {
    ...rules,
    // A name and a password would stand before an @.
    ...(leaf.secret === 'url' ? { allOf: [{ pattern: '^[^@]*$' }] } : {}),
    ...(typeof minLength === 'number' && !leaf.optional ? { minLength } : {}),
    ...(typeof maxLength === 'number' ? { maxLength } : {}),
  };
}

function blankAround(pattern: string): string {
  return `^\\s*(${pattern})\\s*$`;
}
