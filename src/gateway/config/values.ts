/** From entries of all sources to checked values by key: finds the setting of each entry, and converts its text. */

import { Value } from 'typebox/value';
import { aliases, restrictions, unused } from './foreign.js';
import { databaseUrl } from './url.js';
import { leaves, sections, type Leaf } from './leaves.js';
import { canonical, isOtherSpelling, otherPluginSection, pluginSection, uniform } from './spelling.js';
import { found, nearest, type Entry, type SettingOrigin, type SettingProblem } from '../../configuration/problems.js';
import { pathFrom, secretFrom, unresolved } from '../../configuration/references.js';

export interface SetValue {
  readonly value: unknown;
  readonly origin: SettingOrigin;
}

export interface ResolvedValues {
  readonly values: Map<string, SetValue>;
  readonly problems: SettingProblem[];
  readonly warnings: string[];
}

/** Resolves entries, later ones winning over earlier ones unless both are of the same kind of source. */
export function resolveValues(entries: readonly Entry[]): ResolvedValues {
  const values = new Map<string, SetValue>();
  const problems: SettingProblem[] = [];
  const warnings = new Set<string>();
  const spelled = new Map<string, Entry>();
  problems.push(...twoPlugins(entries));
  for (const entry of entries) {
    const { key, origin } = entry;
    const meant = canonical(key);
    const target = targetOf(meant);
    if (target === undefined) {
      const instead = restrictionOf(meant, entry.value);
      const reason = unusedKey(meant);
      if (instead !== undefined) problems.push({ key, message: `has no effect here; ${instead}`, origin });
      else if (reason !== undefined) warnings.add(`${reason}: has no effect, ${unused.get(reason) ?? ''}`);
      else if (!(entry.value === null && (sections.has(meant) || meant === 'armory'))) problems.push(unknownKey(entry));
      continue;
    }
    const { leaf, factor } = target;
    const before = spelled.get(leaf.key);
    if (before !== undefined && before.key !== key && before.origin.kind === origin.kind) {
      problems.push({ key, message: `already set as ${before.key} (${before.origin.text})`, origin });
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

function targetOf(key: string): { readonly leaf: Leaf; readonly factor: number } | undefined {
  const alias = aliases.get(key);
  const leaf = leaves.get(alias?.key ?? key);
  return leaf === undefined ? undefined : { leaf, factor: alias?.factor ?? 1 };
}

/** Sections that hold other spellings of settings: a misspelt key in one of them must not pass as unused. */
const strictSections = new Set([...aliases.keys()].map((key) => key.slice(0, key.lastIndexOf('.'))));

function unusedKey(key: string): string | undefined {
  for (let candidate = key; candidate !== ''; candidate = canonical(parentOf(candidate))) {
    if (unused.has(candidate)) return candidate;
    if (strictSections.has(candidate)) return undefined;
  }
  return undefined;
}

/** What to do instead of an option that would restrict something. */
function restrictionOf(key: string, value: unknown): string | undefined {
  const restriction = restrictions.find(({ keys }) => keys.test(uniform(key)));
  if (restriction === undefined || value === null || value === undefined) return undefined;
  const plain =
    typeof value === 'string' ? value.toLowerCase() === String(restriction.harmless) : value === restriction.harmless;
  return plain ? undefined : restriction.instead;
}

function parentOf(key: string): string {
  return key.slice(0, Math.max(0, key.lastIndexOf('.')));
}

/** The plugin's options under both of its names in one source: it is unclear which ones apply. */
function twoPlugins(entries: readonly Entry[]): SettingProblem[] {
  const given = entries.filter(({ value }) => value !== null);
  return [...new Set(given.map(({ origin }) => origin.kind))].flatMap((kind) => {
    const here = given.filter(({ origin }) => origin.kind === kind);
    const other = here.find(({ key }) => isOtherSpelling(key));
    const one = here.find(({ key }) => !isOtherSpelling(key) && uniform(key).startsWith(`${pluginSection}.`));
    if (other === undefined || one === undefined) return [];
    const message = `conflicts with ${pluginSection} (${one.origin.text}); use only one of the two sections`;
    return [{ key: otherPluginSection, message, origin: other.origin }];
  });
}

function unknownKey({ key, value, origin }: Entry): SettingProblem {
  if (sections.has(canonical(key))) {
    const kind = Array.isArray(value) ? 'a list' : 'a single value';
    return { key, message: `expected a section with keys below it, found ${kind}`, origin };
  }
  const flags = origin.kind === 'flag' ? ['config', 'help'] : [];
  const candidate = nearest(key, [...leaves.keys(), ...aliases.keys(), ...unused.keys(), ...flags]);
  return { key, message: `no such setting${candidate === undefined ? '' : `; did you mean ${candidate}?`}`, origin };
}

type Result = 'unset' | { readonly problem: string } | { readonly value: unknown; readonly warning?: string };

function valueOf(leaf: Leaf, written: unknown, factor: number, origin: SettingOrigin): Result {
  if (written === null || written === undefined || (written === '' && leaf.optional)) return 'unset';
  const fail = (note = '') => ({ problem: `expected ${leaf.expected}, found ${found(written, leaf.secret)}${note}` });
  const kind = leaf.secret === false ? (leaf.path ? 'path' : 'text') : 'secret';
  const reference = unresolved(written, kind, origin.kind === 'file');
  if (reference !== undefined) return { problem: reference };
  let value: unknown = written;
  if (typeof written === 'string' && leaf.secret !== false) value = secretFrom(written);
  if (typeof written === 'string' && leaf.path) value = pathFrom(written);
  if (value instanceof Error) return { problem: value.message };
  if (leaf.kind === 'text' && typeof value !== 'string') {
    return fail(typeof value === 'object' ? '' : '; write it in quotes');
  }
  value = parse(leaf, value);
  if (typeof value === 'number') value *= factor;
  let warning: string | undefined;
  if (typeof value === 'string' && leaf.jdbc) {
    const url = databaseUrl(value);
    if ('problem' in url) return url;
    ({ url: value, warning } = url);
  }
  if (!Value.Check(leaf.schema, value)) return fail();
  return { value, ...(warning === undefined ? {} : { warning }) };
}

const unitBytes: Readonly<Record<string, number>> = { '': 1, B: 1, KB: 1 << 10, MB: 1 << 20, GB: 1 << 30 };

/** Converts a text for this setting; an unreadable text stays as it is, so that the check refuses it. */
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
