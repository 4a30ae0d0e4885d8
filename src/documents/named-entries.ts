/** Changes named entries of lists in a YAML file of somebody else: comments, order and spelling of everything else stay. */

import {
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  visit,
  type Document,
  type Node,
  type YAMLSeq,
} from 'yaml';
import { YamlError } from './yaml.js';

export interface NamedEntry {
  readonly name: string;
}

export interface NamedEntries {
  /** The entries to add, or to put in the place of those with the same name, by the field of their list. */
  readonly lists: Readonly<Record<string, readonly NamedEntry[]>>;
  /** Fields of the file with text. */
  readonly fields: Readonly<Record<string, string>>;
  /** Whether an entry of the file with the name of a new one may be replaced. */
  readonly mayReplace: (entry: unknown) => boolean;
}

/** An entry that has the name of a new one and may not be replaced. */
export class EntryConflict extends Error {
  override readonly name = 'EntryConflict';

  constructor(
    readonly list: string,
    readonly entryName: string,
  ) {
    super(`${list} has another entry "${entryName}"`);
  }
}

/**
 * @param text of the file; '' for a new one
 * @returns its new text
 * @throws YamlError if it is not a map with these lists; EntryConflict
 */
export function withNamedEntries(text: string, { lists, fields, mayReplace }: NamedEntries): string {
  const document = parsed(text);
  for (const [field, value] of Object.entries(fields))
    if (document.get(field) !== value) document.set(field, quoted(document, value));
  for (const [field, entries] of Object.entries(lists)) {
    const list = listOf(document, field);
    for (const entry of entries) {
      const index = list.items.findIndex((item) => isMap(item) && item.get('name') === entry.name);
      const node = quoted(document, entry);
      if (index < 0) list.add(node);
      else if (mayReplace((list.items[index] as Node).toJS(document))) list.items[index] = node;
      else throw new EntryConflict(field, entry.name);
    }
  }
  return document.toString({ lineWidth: 0, indentSeq: false, flowCollectionPadding: false });
}

/** With scalars as the text that they are written as, so that they are written back as they were. */
function parsed(text: string): Document {
  const lines = new LineCounter();
  const options = { schema: 'failsafe', resolveKnownTags: false, prettyErrors: false, logLevel: 'silent' } as const;
  const documents = [parseAllDocuments(text, { ...options, lineCounter: lines })].flat();
  const [document = parseAllDocuments('{}\n', options)[0], second] = documents;
  if (document === undefined) throw new YamlError('expected a map', 1, 1);
  const failure = (problem: string, offset: number) => {
    const { line, col } = lines.linePos(offset);
    return new YamlError(problem, line, col);
  };
  const [error] = document.errors;
  if (error !== undefined) throw failure(`not valid YAML (${error.code})`, error.pos[0]);
  if (second !== undefined) throw failure('expected a single document', second.range[0]);
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === ''))
    document.contents = document.createNode({}) as unknown as typeof document.contents;
  if (!isMap(document.contents)) throw failure('expected a map', 0);
  if (document.contents.items.length === 0) document.contents.flow = false;
  return document;
}

/** A field without a value is an empty list. */
function listOf(document: Document, field: string): YAMLSeq {
  const found = document.get(field, true);
  if (isSeq(found)) {
    if (found.items.length === 0) found.flow = false;
    return found;
  }
  if (found !== undefined && !(isScalar(found) && /^(|~|null)$/iu.test(String(found.value))))
    throw new YamlError(`${field} must be a list`, 1, 1);
  const list = document.createNode([]) as YAMLSeq;
  document.set(field, list);
  return list;
}

/** Text in quotes is text for every parser: "yes" and "0123", too. */
function quoted(document: Document, value: unknown): Node {
  const node = document.createNode(value);
  visit(node, {
    Scalar: (key, scalar) => {
      if (key !== 'key') scalar.type = 'QUOTE_DOUBLE';
    },
  });
  return node;
}
