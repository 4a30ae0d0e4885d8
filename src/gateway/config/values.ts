/** From entries of all sources to checked values by key: which setting is meant, and what its text means. */

import { readFileSync } from 'node:fs';
import { Value } from 'typebox/value';
import { aliases, unused } from './foreign.js';
import { withoutJdbc } from './url.js';
import { leaves, sections, type Leaf } from './leaves.js';
import { found, nearest, type Entry, type Origin, type Problem } from '../../configuration/problems.js';

export interface SetValue {
  readonly value: unknown;
  readonly origin: Origin;
}

export interface Values {
  readonly values: Map<string, SetValue>;
  readonly problems: Problem[];
  readonly warnings: string[];
}

/** Resolves entries, later ones winning over earlier ones unless both are of the same kind of source. */
export function resolveValues(entries: readonly Entry[]): Values {
  const values = new Map<string, SetValue>();
  const problems: Problem[] = [];
  const warnings = new Set<string>();
  const spelled = new Map<string, Entry>();
  for (const entry of entries) {
    const { key, origin } = entry;
    const target = targetOf(key);
    if (target === undefined) {
      const reason = unusedKey(key);
      if (reason !== undefined) warnings.add(`${reason}: has no effect, ${unused.get(reason) ?? ''}`);
      else if (!(sections.has(key) && entry.value === null)) problems.push(unknownKey(entry));
      continue;
    }
    const { leaf, factor } = target;
    const before = spelled.get(leaf.key);
    if (before !== undefined && before.key !== key && before.origin.kind === origin.kind) {
      problems.push({ key, message: `set already, as ${before.key} (${before.origin.text})`, origin });
      continue;
    }
    spelled.set(leaf.key, entry);
    const result = valueOf(leaf, entry.value, factor, origin);
    if (result === 'unset') continue;
    if ('problem' in result) {
      problems.push({ key, message: result.problem, origin });
      continue;
    }
    if (result.warning !== undefined) warnings.add(`${key}: ${result.warning}`);
    values.set(leaf.key, { value: result.value, origin });
  }
  return { values, problems, warnings: [...warnings] };
}

/** Names that are documented with a dash, by their camel-case spelling, which Spring takes as well. */
const dashed: ReadonlyMap<string, string> = new Map(
  [...leaves.keys(), ...unused.keys()]
    .flatMap((key) => key.split('.'))
    .filter((name) => name.includes('-'))
    .map((name) => [name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()), name]),
);

function documented(key: string): string {
  return key
    .split('.')
    .map((name) => dashed.get(name) ?? name)
    .join('.');
}

function targetOf(key: string): { readonly leaf: Leaf; readonly factor: number } | undefined {
  const alias = aliases.get(key);
  const leaf = leaves.get(alias?.key ?? documented(key));
  return leaf === undefined ? undefined : { leaf, factor: alias?.factor ?? 1 };
}

/** Sections that hold other spellings of settings: a misspelt key in one of them must not pass as unused. */
const strictSections = new Set([...aliases.keys()].map((key) => key.slice(0, key.lastIndexOf('.'))));

function unusedKey(key: string): string | undefined {
  for (let candidate = documented(key); candidate !== ''; candidate = parentOf(candidate)) {
    if (unused.has(candidate)) return candidate;
    if (strictSections.has(candidate)) return undefined;
  }
  return undefined;
}

function parentOf(key: string): string {
  return key.slice(0, Math.max(0, key.lastIndexOf('.')));
}

function unknownKey({ key, value, origin }: Entry): Problem {
  if (sections.has(key)) {
    const kind = Array.isArray(value) ? 'a list' : 'a single value';
    return { key, message: `expected a section with keys below it, found ${kind}`, origin };
  }
  const flags = origin.kind === 'flag' ? ['config', 'help'] : [];
  const candidate = nearest(key, [...leaves.keys(), ...aliases.keys(), ...unused.keys(), ...flags]);
  return { key, message: `no such setting${candidate === undefined ? '' : `; is ${candidate} meant?`}`, origin };
}

type Result = 'unset' | { readonly problem: string } | { readonly value: unknown; readonly warning?: string };

function valueOf(leaf: Leaf, written: unknown, factor: number, origin: Origin): Result {
  if (written === null || written === undefined || (written === '' && leaf.optional)) return 'unset';
  const fail = (note = '') => ({ problem: `expected ${leaf.expected}, found ${found(written, leaf.secret)}${note}` });
  if (typeof written === 'string' && origin.kind === 'file') {
    if (written.includes('${')) {
      return { problem: 'placeholders (${...}) of Spring are not resolved here; write the value, or set a variable' };
    }
    if (leaf.secret && /^encrypted(File)?:/.test(written)) {
      return { problem: 'encrypted secrets of Spinnaker are not decrypted here; write file:/PATH' };
    }
  }
  let value = leaf.secret ? secretFrom(written) : written;
  if (value instanceof Error) return { problem: value.message };
  if (leaf.kind === 'text' && typeof value !== 'string') {
    return fail(typeof value === 'object' ? '' : '; write it in quotes');
  }
  value = parse(leaf, value);
  if (typeof value === 'number') value *= factor;
  let warning: string | undefined;
  if (typeof value === 'string' && leaf.jdbc) ({ url: value, warning } = withoutJdbc(value));
  if (!Value.Check(leaf.schema, value)) return fail();
  return { value, ...(warning === undefined ? {} : { warning }) };
}

/** `file:/PATH` stands for what is in the file, without white space around it. */
function secretFrom(written: unknown): unknown {
  if (typeof written !== 'string' || !written.startsWith('file:')) return written;
  try {
    return readFileSync(written.slice('file:'.length).replace(/^\/\//, ''), 'utf8').trim();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    return new Error(`the file that it names cannot be read${code}`);
  }
}

const unitBytes: Readonly<Record<string, number>> = { '': 1, B: 1, KB: 1 << 10, MB: 1 << 20, GB: 1 << 30 };

/** What a text means for this setting; what cannot be read stays as it is, for the check to refuse. */
function parse(leaf: Leaf, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const trimmed = value.trim();
  switch (leaf.kind) {
    case 'boolean':
      return { true: true, false: false }[trimmed.toLowerCase()] ?? value;
    case 'integer':
      return /^-?\d{1,15}$/.test(trimmed) ? Number(trimmed) : value;
    case 'number':
      return /^-?\d{1,15}(\.\d{1,15})?$/.test(trimmed) ? Number(trimmed) : value;
    case 'bytes': {
      const match = /^(\d{1,15})\s*([KMG]?B|)$/i.exec(trimmed);
      const unit = unitBytes[(match?.[2] ?? '').toUpperCase()];
      return match === null || unit === undefined ? value : Number(match[1]) * unit;
    }
    case 'choice': {
      const word = leaf.synonyms[trimmed.toLowerCase()] ?? trimmed;
      return leaf.choices.find((choice) => choice.toLowerCase() === word.toLowerCase()) ?? value;
    }
    case 'list':
      return trimmed === '' ? [] : trimmed.split(leaf.separator).map((item) => item.trim());
    case 'text':
      return value;
  }
}
