/** YAML of configuration files, with the line of each key. What the YAML library says is never repeated: it quotes the file. */

import { LineCounter, isMap, isScalar, isSeq, parseDocument, type Document, type ErrorCode as YamlCode } from 'yaml';
import { configurationError } from './problems.js';

const explanations: Partial<Record<YamlCode, string>> = {
  BAD_INDENT: 'the indentation is wrong, or a bracket or quote before it is not closed',
  TAB_AS_INDENT: 'tabs cannot indent YAML; use spaces',
  DUPLICATE_KEY: 'this key is there twice',
  MISSING_CHAR: 'a character is missing, such as a colon, a quote or a bracket',
  MULTIPLE_DOCS: 'only one document is expected; remove the --- between',
  BLOCK_AS_IMPLICIT_KEY: 'a key or a map cannot stand here; check the indentation, and quote text with ": " in it',
  UNEXPECTED_TOKEN: 'something stands where it cannot; quote text that starts with a special character',
  TAG_RESOLVE_FAILED: 'this tag is not known; quote text that starts with !',
  BAD_ALIAS: 'this alias is not known; quote text that starts with *',
};

export type Section = Readonly<Record<string, unknown>>;

export interface YamlSettings {
  readonly content: Section;
  /** The line of a key, `kubernetes.accounts[0].name`, or of the nearest that it stands in; as `agent.yml:12`. */
  readonly place: (key: string) => string;
}

/**
 * Reads settings: one document with a map at the top; an empty one has none.
 * @param name what problems call the file
 * @throws GatewayError `configuration` when it is not that, with line and column
 */
export function parseSettings(source: string, name: string): YamlSettings {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, merge: true, logLevel: 'error' });
  const failures = [...document.errors, ...document.warnings].map(({ code, pos }) => {
    const { line, col } = lines.linePos(pos[0]);
    const message = explanations[code] ?? `not valid YAML (${code})`;
    return { key: `${name}:${String(line)}:${String(col)}`, message };
  });
  if (failures.length > 0) throw configurationError(failures);

  const content = toPlain(document, name) ?? {};
  if (!isSection(content)) throw configurationError([{ key: name, message: 'expected a map of sections at the top' }]);
  refuseManifest(content, name);
  const positions = new Map<string, number>();
  collectPositions(document.contents, '', lines, positions);
  return {
    content,
    place: (key) => {
      for (let near = key; near !== ''; near = parentOf(near)) {
        const line = positions.get(near);
        if (line !== undefined) return `${name}:${String(line)}`;
      }
      return name;
    },
  };
}

export function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A dotted key from its section and its name. */
export function join(key: string, name: string): string {
  return key === '' ? name : `${key}.${name}`;
}

/** Samples in documentation are often whole objects of Kubernetes with the file inside. */
function refuseManifest({ apiVersion, kind }: Section, name: string): void {
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return;
  const shown = /^\w{1,60}$/u.test(kind) ? ` (kind: ${kind})` : '';
  const message = `this is an object of Kubernetes${shown}: write what stands in it as the configuration file alone`;
  throw configurationError([{ key: name, message }]);
}

function toPlain(document: Document, name: string): unknown {
  try {
    return document.toJS();
  } catch {
    // The one thing left to find here is an alias without its anchor, or too many of them.
    throw configurationError([{ key: name, message: `${explanations.BAD_ALIAS ?? ''}, or used too often` }]);
  }
}

function collectPositions(node: unknown, prefix: string, lines: LineCounter, positions: Map<string, number>): void {
  if (isSeq(node)) {
    node.items.forEach((item, index) => {
      const path = `${prefix}[${String(index)}]`;
      const start = (item as { range?: readonly [number, number, number] | null }).range?.[0];
      if (start !== undefined) positions.set(path, lines.linePos(start).line);
      collectPositions(item, path, lines, positions);
    });
  }
  if (!isMap(node)) return;
  for (const { key, value } of node.items) {
    if (!isScalar(key) || !key.range) continue;
    const path = join(prefix, String(key.value));
    positions.set(path, lines.linePos(key.range[0]).line);
    collectPositions(value, path, lines, positions);
  }
}

function parentOf(key: string): string {
  return key.slice(0, Math.max(0, key.lastIndexOf('.'), key.lastIndexOf('[')));
}
