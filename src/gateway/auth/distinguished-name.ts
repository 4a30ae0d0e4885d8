/**
 * Distinguished names of certificates as text: RFC 2253 / RFC 4514 (`CN=agent,O=Acme\, Inc`), in either order, and the
 * form that Node.js gives (one attribute a line). Only attributes and their values, as needed for comparison.
 */

export interface Attribute {
  /** In the spelling of OpenSSL, in lower case: `cn`, `o`, `emailaddress`; an OID as it is. */
  readonly type: string;
  readonly value: string;
}

/** Other spellings of the types that OpenSSL names (RFC 4514 section 3, Java's X500Principal). */
const synonyms: Readonly<Record<string, string>> = {
  e: 'emailaddress',
  email: 'emailaddress',
  s: 'st',
  userid: 'uid',
  surname: 'sn',
  '2.5.4.3': 'cn',
  '2.5.4.6': 'c',
  '2.5.4.7': 'l',
  '2.5.4.8': 'st',
  '2.5.4.10': 'o',
  '2.5.4.11': 'ou',
  '1.2.840.113549.1.9.1': 'emailaddress',
  '0.9.2342.19200300.100.1.1': 'uid',
  '0.9.2342.19200300.100.1.25': 'dc',
};

const typePattern = /^(?:[a-z][a-z0-9-]*|\d+(?:\.\d+)+)$/u;
const separators = ',;+\n';

/**
 * The attributes in the order of the text, each part of a multi-valued one on its own.
 * @returns a sentence about the problem if the text is not a distinguished name
 */
export function parseDistinguishedName(text: string): readonly Attribute[] | string {
  const attributes: Attribute[] = [];
  let position = 0;
  while (position < text.length) {
    const equals = text.indexOf('=', position);
    if (equals === -1) return `expected TYPE=VALUE, found "${text.slice(position)}"`;
    const written = text
      .slice(position, equals)
      .trim()
      .toLowerCase()
      .replace(/^oid\./u, '');
    if (!typePattern.test(written)) return `expected an attribute type such as CN, found "${written}"`;
    const { value, end } = readValue(text, equals + 1);
    if (value === '') return `${written.toUpperCase()} has no value`;
    attributes.push({ type: synonyms[written] ?? written, value });
    if (end < text.length && end === text.length - 1) return 'it ends with a separator';
    position = end + 1;
  }
  return attributes.length === 0 ? 'it is empty' : attributes;
}

/** As RFC 2253 writes it, most specific first: from the order that certificates have. */
export function formatDistinguishedName(attributes: readonly Attribute[]): string {
  return attributes
    .toReversed()
    .map(({ type, value }) => `${type === 'emailaddress' ? 'emailAddress' : type.toUpperCase()}=${escape(value)}`)
    .join(',');
}

/** The end of the value, and the value without escapes, quotes (RFC 2253) and surrounding white space. */
function readValue(text: string, start: number): { readonly value: string; readonly end: number } {
  const bytes: number[] = [];
  /** White space after this many bytes is part of the value; later white space is not. */
  let kept = 0;
  let quoted = false;
  let position = start;
  for (; position < text.length; position += 1) {
    const character = characterAt(text, position);
    if (character === '\\') {
      const hex = /^[0-9a-f]{2}/iu.exec(text.slice(position + 1))?.[0];
      if (hex === undefined) bytes.push(...Buffer.from(characterAt(text, position + 1)));
      else bytes.push(Number.parseInt(hex, 16));
      position += hex === undefined ? characterAt(text, position + 1).length : 2;
      kept = bytes.length;
    } else if (character === '"') quoted = !quoted;
    else if (!quoted && separators.includes(character)) break;
    else if (bytes.length > 0 || quoted || character !== ' ') {
      bytes.push(...Buffer.from(character));
      position += character.length - 1;
      if (quoted || character !== ' ') kept = bytes.length;
    }
  }
  return { value: Buffer.from(bytes.slice(0, kept)).toString('utf8'), end: Math.min(position, text.length) };
}

/** Whole, where it takes two code units. */
function characterAt(text: string, position: number): string {
  const code = text.codePointAt(position);
  return code === undefined ? '' : String.fromCodePoint(code);
}

/** RFC 4514 section 2.4; control characters as hexadecimal, so that a name is always shown on one line. */
function escape(value: string): string {
  return value
    .replace(/[,+"\\<>;=]/gu, '\\$&')
    .replace(/^[ #]| $/gu, '\\$&')
    .replace(/\p{Cc}/gu, (control) => Buffer.from(control).toString('hex').toUpperCase().replace(/../gu, '\\$&'));
}
