/** One spelling for all files: dotted keys as sections (`clouddriver.grpc: ...`), other names as ours. */

import type { SettingProblem } from '../../configuration/problems.js';
import { isSection, join, type YamlSection } from '../../configuration/yaml.js';
import { aliases } from './foreign.js';

type Tree = Record<string, unknown>;

export interface Spelling {
  readonly tree: YamlSection;
  /** The written form of keys that were spelled differently. */
  readonly written: ReadonlyMap<string, string>;
  readonly problems: readonly SettingProblem[];
}

/** Keys below it are data. */
const dataKey = 'logging.fields';

export function normalizeSpelling(content: YamlSection): Spelling {
  const problems: SettingProblem[] = [];
  const written = new Map<string, string>();
  const tree = nested(content, '', problems);
  for (const [alias, key] of aliases) {
    for (const [from, to] of places(tree, alias, key)) rename(tree, from, to, written, problems);
  }
  return { tree, written, problems };
}

function nested(section: YamlSection, key: string, problems: SettingProblem[]): Tree {
  const result: Tree = {};
  for (const [name, value] of Object.entries(section)) {
    const path = join(key, name);
    const child = isSection(value) && path !== dataKey ? nested(value, path, problems) : value;
    const items = Array.isArray(child)
      ? child.map((item: unknown, index) =>
          isSection(item) ? nested(item, `${path}[${String(index)}]`, problems) : item,
        )
      : child;
    merge(result, name.split('.'), items, path, problems);
  }
  return result;
}

function merge(target: Tree, path: readonly string[], value: unknown, key: string, problems: SettingProblem[]): void {
  const [name = '', ...rest] = path;
  const present = target[name];
  if (rest.length > 0) {
    if (present !== undefined && present !== null && !isSection(present)) problems.push(setAlready(key));
    else merge((target[name] = { ...(present ?? {}) }), rest, value, key, problems);
  } else if (isSection(present) && isSection(value)) {
    for (const [child, inner] of Object.entries(value)) merge(present, [child], inner, join(key, child), problems);
  } else if (present !== undefined && present !== null) problems.push(setAlready(key));
  else target[name] = value;
}

function setAlready(key: string): SettingProblem {
  return { key, message: 'already set under another spelling; set it once' };
}

/** Every path of an alias, with `[]` for each item of a list, and the path of the key that it stands for. */
function places(tree: Tree, alias: string, key: string): (readonly [from: string, to: string])[] {
  const [list, from] = alias.split('[].');
  if (list === undefined || from === undefined) return [[alias, key]];
  const items = valueAt(tree, list);
  if (!Array.isArray(items)) return [];
  return items.map(
    (_, index) => [alias, key].map((each) => each.replace('[]', `[${String(index)}]`)) as [string, string],
  );
}

function rename(tree: Tree, from: string, to: string, written: Map<string, string>, problems: SettingProblem[]): void {
  const value = valueAt(tree, from);
  if (value === undefined) return;
  const [parent, name] = split(from);
  Reflect.deleteProperty(valueAt(tree, parent) as Tree, name);
  const before = valueAt(tree, to);
  if (before !== undefined && before !== null) {
    problems.push({ key: from, message: `already set as ${written.get(to) ?? to}; set it once` });
    return;
  }
  const [section, own] = split(to);
  const target = (section === '' ? tree : (valueAt(tree, section) ?? (tree[section] = {}))) as Tree;
  if (!isSection(target)) return;
  target[own] = value;
  written.set(to, from);
}

function split(key: string): [section: string, name: string] {
  const dot = key.lastIndexOf('.');
  return [key.slice(0, Math.max(0, dot)), key.slice(dot + 1)];
}

function valueAt(tree: Tree, key: string): unknown {
  if (key === '') return tree;
  return key
    .split(/[.[\]]+/u)
    .filter((part) => part !== '')
    .reduce<unknown>((node, part) => {
      if (Array.isArray(node)) return node[Number(part)] as unknown;
      return isSection(node) ? node[part] : undefined;
    }, tree);
}
