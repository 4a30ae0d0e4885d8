/** The name of an object, from the beginning of its JSON, YAML or protobuf: as much as a record of its creation needs. */

import { BinaryReader } from '@bufbuild/protobuf/wire';

/** Each '' if it is not there. */
export interface ObjectNames {
  readonly name: string;
  /** The API server appends five characters to it. */
  readonly generateName: string;
}

/** No more of an object is looked at, in bytes. */
const longestBody = 65_536;
/** Of a DNS name (RFC 1035), as Kubernetes has them. */
const longestName = 253;
const noName: ObjectNames = { name: '', generateName: '' };

/** @param body an object, or its beginning: a long one has its name there if it is protobuf, YAML or of the API server */
export function objectName(body: Uint8Array): ObjectNames {
  const start = Buffer.from(body.buffer, body.byteOffset, Math.min(body.byteLength, longestBody));
  if (start.toString('latin1', 0, 4) === 'k8s\0') return nameInProtobuf(start.subarray(4));
  const text = start.toString();
  return /^\s*\{/u.test(text) ? nameInJson(text, body.byteLength > longestBody) : nameInYaml(text);
}

/** How the API server and client-go begin: what follows need not be read. */
const usualJson = /^\{\s*(?:"(?:kind|apiVersion)":\s*"[^"\\]*",\s*){2}"metadata":\s*\{\s*"name":\s*"(?<name>[^"\\]+)"/u;

function nameInJson(text: string, cut: boolean): ObjectNames {
  const name = usualJson.exec(text)?.groups?.['name'];
  if (name !== undefined) return named(name, '');
  if (cut) return noName;
  try {
    const { metadata } = JSON.parse(text) as { readonly metadata?: Readonly<Record<string, unknown>> | null };
    return named(metadata?.['name'], metadata?.['generateName']);
  } catch {
    return noName;
  }
}

/** Of `metadata:` in block style, as people write it, and programs too. */
function nameInYaml(text: string): ObjectNames {
  const found: Record<string, string> = {};
  let inside = false;
  let indentation: string | undefined;
  for (const line of text.split(/\r?\n/u)) {
    const [, blank = '', key, value = ''] = /^( *)(?:([\w.]+):(?: +(.*))?|\S.*)$/u.exec(line) ?? [];
    // Empty, a comment, or part of a longer value.
    if (key === undefined) continue;
    if (blank === '') {
      if (inside) break;
      inside = key === 'metadata';
    } else if (inside && blank === (indentation ??= blank)) found[key] = scalar(value);
  }
  return named(found['name'], found['generateName']);
}

/** Plain or quoted, without what has to be escaped. */
function scalar(text: string): string {
  return /^(["']?)(?<plain>[^\s"'\\#&*!|>{}[\]]+)\1(?: +#.*)?\s*$/u.exec(text)?.groups?.['plain'] ?? '';
}

/** After "k8s\0": runtime.Unknown with the object in field 2, its ObjectMeta in field 1, name and generateName in 1 and 2. */
function nameInProtobuf(bytes: Uint8Array): ObjectNames {
  const reader = new BinaryReader(bytes);
  const texts: string[] = [];
  try {
    /** To the field's content. Fields come in the order of their numbers. */
    const enter = (wanted: number): number => {
      for (;;) {
        const [field, type] = reader.tag();
        if (field === wanted) return reader.uint32();
        reader.skip(type, field);
      }
    };
    enter(2);
    const length = enter(1);
    const end = reader.pos + length;
    while (reader.pos < end) {
      const [field] = reader.tag();
      if (field > 2) break;
      texts[field] = reader.string();
    }
  } catch {
    // It ends here, or is something else.
  }
  return named(texts[1], texts[2]);
}

function named(name: unknown, generateName: unknown): ObjectNames {
  return { name: short(name), generateName: short(generateName) };
}

function short(text: unknown): string {
  return typeof text === 'string' ? text.slice(0, longestName) : '';
}
