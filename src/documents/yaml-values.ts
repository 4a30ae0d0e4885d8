/**
 * From the nodes of a YAML document to values, as `kubectl` has them: go-yaml v2 reads, sigs.k8s.io/yaml makes JSON of it.
 * Pure; the nodes are those of the `yaml` package, with all scalars as text.
 */

import {
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  visit,
  type Alias,
  type Document,
  type Node,
  type YAMLMap,
} from 'yaml';
import { ExactNumber } from './exact-json.js';
import { fieldName, isCoreTag, plainScalar, taggedScalar, type Scalar } from './yaml-scalars.js';

export interface ValueOptions {
  /**
   * `manifest`: as kubectl. `settings`: a number that no double holds is text, and a tag that means nothing is refused.
   * `text`: like `settings`, with every scalar as the text that it is.
   */
  readonly mode: 'manifest' | 'settings' | 'text';
  /** Told where each value begins, by its path: `a.b[0].c`. */
  readonly onField?: (path: string, offset: number) => void;
}

/** Something in the document that is no value. The message quotes nothing of it. */
export class ValueError extends Error {
  /** @param offset in the text */
  constructor(
    message: string,
    readonly offset: number,
  ) {
    super(message);
  }
}

/** @throws ValueError */
export function valueOf(document: Document, options: ValueOptions): unknown {
  return document.contents === null ? null : new Converter(document, options).value(document.contents, '');
}

const mergeTag = 'tag:yaml.org,2002:merge';
const collectionTags = ['tag:yaml.org,2002:map', 'tag:yaml.org,2002:seq'];

class Converter {
  readonly #options: ValueOptions;
  readonly #targets = new Map<Alias, Node | undefined>();
  readonly #open = new Set<Alias>();
  #nodes = 0;
  #nodesOfAliases = 0;

  constructor(document: Document, options: ValueOptions) {
    this.#options = options;
    // An anchor may be there twice: an alias means the one before it.
    const anchors = new Map<string, Node>();
    visit(document, (_key, node) => {
      if (isAlias(node)) this.#targets.set(node, anchors.get(node.source));
      else if ((isScalar(node) || isCollection(node)) && node.anchor !== undefined) anchors.set(node.anchor, node);
    });
  }

  value(node: unknown, path: string): unknown {
    if (isAlias(node)) return this.#ofAlias(node, (target) => this.value(target, path));
    this.#count(node);
    if (isScalar(node)) {
      const value = this.#scalar(node);
      if (typeof value === 'number' && !Number.isFinite(value))
        throw failure('infinity and NaN are not JSON values; quote them if they are text', node);
      return value;
    }
    if (isSeq(node)) return node.items.map((item, index) => this.#field(item, item, `${path}[${String(index)}]`));
    if (isMap(node)) return Object.fromEntries(this.#fields(node, path, new Map()));
    return null;
  }

  /** Fields in their order, a merge where it stands: it wins over what is before it, and loses against what is after it. */
  #fields(map: YAMLMap, path: string, fields: Map<string, unknown>): Map<string, unknown> {
    for (const { key, value } of map.items) {
      if (this.#isMerge(key)) this.#merge(value, path, fields);
      else {
        const name = this.#name(key);
        fields.set(name, this.#field(key, value, path === '' ? name : `${path}.${name}`));
      }
    }
    return fields;
  }

  #field(begin: unknown, value: unknown, path: string): unknown {
    this.#options.onField?.(path, offsetOf(begin));
    return this.value(value, path);
  }

  #isMerge(key: unknown): boolean {
    return (
      isScalar(key) && key.value === '<<' && (key.tag === mergeTag || (key.tag === undefined && key.type === 'PLAIN'))
    );
  }

  #merge(from: unknown, path: string, fields: Map<string, unknown>): void {
    if (isAlias(from)) this.#ofAlias(from, (target) => this.#mergeMap(target, path, fields));
    else if (isSeq(from)) {
      // The first one wins.
      for (const each of from.items.toReversed()) {
        if (isAlias(each)) this.#ofAlias(each, (target) => this.#mergeMap(target, path, fields));
        else this.#mergeMap(each, path, fields);
      }
    } else this.#mergeMap(from, path, fields);
  }

  #mergeMap(map: unknown, path: string, fields: Map<string, unknown>): void {
    if (!isMap(map)) throw failure('<< needs a map, or a list of maps', map);
    this.#count(map);
    this.#fields(map, path, fields);
  }

  #name(key: unknown): string {
    if (isAlias(key)) return this.#ofAlias(key, (target) => this.#name(target));
    const name = isScalar(key) ? fieldName(this.#scalar(key), String(key.value)) : undefined;
    if (name === undefined) throw failure('a key must be text, a number, true or false', key);
    return name;
  }

  #scalar(node: { readonly value: unknown; readonly tag?: string; readonly type?: string }): Scalar {
    const text = String(node.value);
    const { mode } = this.#options;
    if (mode === 'text') return text;
    const untagged = (): Scalar => (node.type === 'PLAIN' ? plainScalar(text) : text);
    const value = node.tag === undefined ? untagged() : taggedScalar(node.tag, text);
    if (value === undefined) throw failure('the value does not match its tag', node);
    return mode === 'settings' && value instanceof ExactNumber ? text : value;
  }

  #ofAlias<T>(alias: Alias, use: (target: Node) => T): T {
    const target = this.#targets.get(alias);
    if (target === undefined) throw failure('unknown alias; quote text that starts with *', alias);
    if (this.#open.has(alias)) throw failure('this alias refers to itself', alias);
    this.#open.add(alias);
    const value = use(target);
    this.#open.delete(alias);
    return value;
  }

  /** Aliases of aliases grow without bound: a document of a kilobyte can mean a terabyte. go-yaml's own limits. */
  #count(node: unknown): void {
    this.#nodes += 1;
    if (this.#open.size > 0) this.#nodesOfAliases += 1;
    const share = this.#nodesOfAliases / this.#nodes;
    if (this.#nodes > 1_000 && this.#nodesOfAliases > 100 && share > (this.#nodes < 400_000 ? 0.99 : 0.1))
      throw failure('aliases are used too often', node);
    const { tag } = (node ?? {}) as { readonly tag?: string };
    const isKnown = tag === undefined || (isScalar(node) ? isCoreTag(tag) : collectionTags.includes(tag));
    if (this.#options.mode !== 'manifest' && !isKnown)
      throw failure('unknown tag; quote text that starts with !', node);
  }
}

function failure(message: string, node: unknown): ValueError {
  return new ValueError(message, offsetOf(node));
}

function offsetOf(node: unknown): number {
  return (node as { readonly range?: readonly [number, number, number] | null } | null)?.range?.[0] ?? 0;
}

/** For writing: a tag of the `yaml` package that prints exact numbers as they are. */
export const exactNumberTag = {
  tag: 'tag:yaml.org,2002:float',
  default: true,
  identify: (value: unknown): boolean => value instanceof ExactNumber,
  resolve: (text: string): string => text,
  stringify: ({ value }: { value?: unknown }): string => String(value),
};
