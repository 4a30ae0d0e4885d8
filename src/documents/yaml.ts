/**
 * YAML that people give: read as `kubectl apply -f` reads it (YAML 1.1 by sigs.k8s.io/yaml), with the line of what is
 * wrong. What the YAML library says is never repeated: it quotes the file, which may hold secrets.
 */

import { isScalar, LineCounter, parseAllDocuments, stringify, type Document, type ErrorCode } from 'yaml';
import { parseJson } from './exact-json.js';
import { exactNumberTag, ValueError, valueOf, type ValueOptions } from './yaml-values.js';

/** Text that is no YAML. The message says what is wrong and where, and quotes nothing. */
export class YamlError extends Error {
  override readonly name = 'YamlError';

  /**
   * @param problem without the place
   * @param line from 1
   * @param column from 1
   */
  constructor(
    readonly problem: string,
    readonly line: number,
    readonly column: number,
  ) {
    super(`line ${String(line)}: ${problem}`);
  }
}

const explanations: Partial<Record<ErrorCode, string>> = {
  BAD_INDENT: 'the indentation is wrong, or a bracket or quote before it is not closed',
  TAB_AS_INDENT: 'tabs cannot indent YAML; use spaces',
  DUPLICATE_KEY: 'this key appears twice',
  MISSING_CHAR: 'a character is missing, such as a colon, a quote or a bracket',
  BLOCK_AS_IMPLICIT_KEY: 'a key or a map is not allowed here; check the indentation, and quote text that contains ": "',
  UNEXPECTED_TOKEN: 'unexpected text; quote text that starts with a special character',
  RESOURCE_EXHAUSTION: 'it is nested too deeply',
};

/**
 * Kubernetes objects: documents of YAML, or JSON values one after the other. Documents without content are left out.
 * A key that is there twice counts as the last one, as in kubectl.
 * @throws YamlError
 */
export function readManifests(text: string): unknown[] {
  const { values, rest } = leadingJson(normalised(text));
  const source = parsed(rest, false);
  const documents = source.documents.map((document) => converted(source, document, { mode: 'manifest' }));
  return [...values, ...documents].filter((each) => each !== null);
}

export interface Settings {
  /** Null when there is nothing. */
  readonly value: unknown;
  /** Where fields are: line by path, `a.b[0].c`. */
  readonly lines: ReadonlyMap<string, number>;
}

/**
 * A file of settings: one document, each key once, and no tags that mean nothing.
 * @param mode `text` leaves every scalar as the text that it is: no digest is a number
 * @throws YamlError
 */
export function readSettings(text: string, mode: 'settings' | 'text' = 'settings'): Settings {
  const source = parsed(normalised(text), true);
  const [document, second] = source.documents;
  if (second !== undefined) {
    throw errorAt(source, second.range[0], 'expected a single document; remove the --- in between');
  }
  const lines = new Map<string, number>();
  if (document === undefined) return { value: null, lines };
  const onField = (path: string, offset: number): void => {
    lines.set(path, source.lines.linePos(offset).line);
  };
  return { value: converted(source, document, { mode, onField }), lines };
}

/** Such that YAML 1.1 reads it as it is meant, numbers as they are. */
export function writeYaml(value: unknown): string {
  return stringify(value, { version: '1.1', customTags: (tags) => [exactNumberTag, ...tags] });
}

/** kubectl reads lines, whatever ends them. */
function normalised(text: string): string {
  return text.replace(/^\uFEFF/u, '').replaceAll('\r\n', '\n');
}

/** JSON values that the text begins with, and the rest of it, where it was. */
function leadingJson(text: string): { values: unknown[]; rest: string } {
  const values: unknown[] = [];
  let at = 0;
  for (;;) {
    const begin = text.slice(at).search(/\S/u) + at;
    const end = text[begin] === '{' ? endOfJson(text, begin) : undefined;
    if (end === undefined) break;
    try {
      values.push(parseJson(text.slice(begin, end)));
    } catch {
      // A map of YAML may begin like an object of JSON.
      break;
    }
    at = end;
  }
  return { values, rest: text.slice(0, at).replaceAll(/[^\n]/gu, ' ') + text.slice(at) };
}

function endOfJson(text: string, begin: number): number | undefined {
  const token = /"(?:[^"\\]+|\\.)*"|[{}]/gsu;
  token.lastIndex = begin;
  let depth = 0;
  for (let found = token.exec(text); found !== null; found = token.exec(text)) {
    if (found[0] === '{') depth += 1;
    else if (found[0] === '}') depth -= 1;
    if (depth === 0) return token.lastIndex;
  }
  return undefined;
}

interface Source {
  /** Those that have content. */
  readonly documents: readonly Document.Parsed[];
  readonly lines: LineCounter;
}

/** Scalars as text: what they are is ours to say. */
function parsed(text: string, uniqueKeys: boolean): Source {
  const lines = new LineCounter();
  const documents = orTooDeep(() => {
    const options = { schema: 'failsafe', resolveKnownTags: false, prettyErrors: false, logLevel: 'silent' } as const;
    return [parseAllDocuments(text, { ...options, uniqueKeys, lineCounter: lines })].flat();
  });
  const source = {
    documents: documents.filter(({ contents, errors }) => errors.length > 0 || !isEmpty(contents)),
    lines,
  };
  for (const { errors } of source.documents) {
    const [error] = errors;
    if (error !== undefined)
      throw errorAt(source, error.pos[0], explanations[error.code] ?? `not valid YAML (${error.code})`);
  }
  return source;
}

function isEmpty(contents: unknown): boolean {
  return contents === null || (isScalar(contents) && contents.source === '' && contents.tag === undefined);
}

function converted(source: Source, document: Document, options: ValueOptions): unknown {
  try {
    return orTooDeep(() => valueOf(document, options));
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw errorAt(source, error.offset, error.message);
  }
}

/** What nests deeper than the stack is no document of anybody. */
function orTooDeep<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) throw new YamlError('it is nested too deeply', 1, 1);
    throw error;
  }
}

function errorAt({ lines }: Source, offset: number, problem: string): YamlError {
  const { line, col } = lines.linePos(offset);
  return new YamlError(problem, line, col);
}
