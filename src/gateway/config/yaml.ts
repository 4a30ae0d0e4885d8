/** Settings from a YAML file, each with its line. What the YAML library says is never repeated: it quotes the file. */

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { LineCounter, isMap, isScalar, parseDocument, type Document, type ErrorCode as YamlCode } from 'yaml';
import { messageOf } from '../../core/errors.js';
import { join } from './leaves.js';
import { configurationError, type Entry } from '../../configuration/problems.js';

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

/**
 * Reads a file into entries, keys dotted. A key may itself be dotted (`kubesvc.cluster: redis`), as Spring allows.
 * @param isLeaf whether a map under this key is a value, not a section
 * @throws GatewayError `configuration` when the file cannot be read or is not YAML, with line and column
 */
export function readYaml(file: string, isLeaf: (key: string) => boolean): Entry[] {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (error) {
    throw configurationError([{ key: '--config', message: `the file cannot be read: ${messageOf(error)}` }]);
  }
  return parseYaml(source, basename(file), isLeaf);
}

/** As readYaml, from text; `name` is what problems call the file. */
export function parseYaml(source: string, name: string, isLeaf: (key: string) => boolean): Entry[] {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, merge: true, logLevel: 'error' });
  const failures = [...document.errors, ...document.warnings].map(({ code, pos }) => {
    const { line, col } = lines.linePos(pos[0]);
    const message = explanations[code] ?? `not valid YAML (${code})`;
    return { key: `${name}:${String(line)}:${String(col)}`, message };
  });
  if (failures.length > 0) throw configurationError(failures);

  const content = toPlain(document, name);
  if (content === null || content === undefined) return [];
  if (!isSection(content)) throw configurationError([{ key: name, message: 'expected a map of sections at the top' }]);
  const positions = new Map<string, number>();
  collectPositions(document.contents, '', lines, positions);
  const entries: Entry[] = [];
  flatten(content, '', isLeaf, (key, value) => {
    const line = positions.get(key);
    const text = line === undefined ? name : `${name}:${String(line)}`;
    entries.push({ key, value, origin: { kind: 'file', text } });
  });
  return entries;
}

function toPlain(document: Document, name: string): unknown {
  try {
    return document.toJS();
  } catch {
    // The one thing left to find here is an alias without its anchor, or too many of them.
    throw configurationError([{ key: name, message: `${explanations.BAD_ALIAS ?? ''}, or used too often` }]);
  }
}

function flatten(
  section: Readonly<Record<string, unknown>>,
  prefix: string,
  isLeaf: (key: string) => boolean,
  add: (key: string, value: unknown) => void,
): void {
  for (const [name, value] of Object.entries(section)) {
    const key = join(prefix, name);
    if (isSection(value) && !isLeaf(key)) flatten(value, key, isLeaf, add);
    else add(key, value);
  }
}

function collectPositions(node: unknown, prefix: string, lines: LineCounter, positions: Map<string, number>): void {
  if (!isMap(node)) return;
  for (const { key, value } of node.items) {
    if (!isScalar(key) || !key.range) continue;
    const path = join(prefix, String(key.value));
    positions.set(path, lines.linePos(key.range[0]).line);
    collectPositions(value, path, lines, positions);
  }
}

function isSection(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
