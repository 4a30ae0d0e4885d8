/**
 * Escape sequences of text format's string literals, both ways, over bytes: a literal denotes bytes, and `string`
 * fields are those that are valid UTF-8.
 */

const simple = new Map(
  Array.from('abfnrtv\\\'"?', (char, index) => [
    char.charCodeAt(0),
    [7, 8, 12, 10, 13, 9, 11, 92, 39, 34, 63][index] ?? 0,
  ]),
);

/**
 * Replaces the escape sequences in place (none is shorter than what it stands for).
 * @param fail must throw; gets what is wrong and at which byte of `raw`.
 */
export function unescape(raw: Buffer, fail: (message: string, byte: number) => void): Buffer {
  let to = raw.indexOf(92);
  for (let at = to; at < raw.length;) {
    const byte = raw[at] ?? 0;
    if (byte !== 92) {
      raw[to++] = byte;
      at++;
      continue;
    }
    const start = at++;
    const letter = raw[at] ?? 0;
    const plain = simple.get(letter);
    if (plain !== undefined) {
      raw[to++] = plain;
      at++;
    } else if (letter >= 48 && letter <= 55) {
      const end = endOfDigits(raw, at, 3, 8);
      const value = valueOf(raw, at, end, 8);
      if (value > 255) fail('an octal escape is \\377 at most', start);
      raw[to++] = value;
      at = end;
    } else if (letter === 0x78 || letter === 0x58) {
      const end = endOfDigits(raw, at + 1, 2, 16);
      if (end === at + 1) fail('expected hexadecimal digits after \\x', start);
      raw[to++] = valueOf(raw, at + 1, end, 16);
      at = end;
    } else if (letter === 0x75 || letter === 0x55) {
      let end = at + (letter === 0x75 ? 5 : 9);
      let point = unicode(raw, at, fail);
      if (point >= 0xd800 && point <= 0xdbff && raw[end] === 92 && raw[end + 1] === 0x75) {
        const low = unicode(raw, end + 1, fail);
        if (low >= 0xdc00 && low <= 0xdfff) {
          point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
          end += 6;
        }
      }
      if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) fail('not a Unicode character', start);
      to += raw.write(String.fromCodePoint(point), to);
      at = end;
    } else {
      fail('unknown escape sequence', start);
    }
  }
  return raw.subarray(0, to);
}

/**
 * A quoted literal as Java's TextFormat prints it: printable ASCII, all else escaped, in octal where there is no
 * letter.
 */
export function quoteLiteral(value: string | Uint8Array): string {
  // After this, every remaining character is one byte.
  let chars: string;
  if (typeof value === 'string') chars = /^[\0-\x7f]*$/.test(value) ? value : Buffer.from(value).toString('latin1');
  else chars = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
  if (!/^[ -~]*$/.test(chars)) return `"${chars.replace(/["'\\]|[^ -~]/g, escape)}"`;
  // Of these characters, JSON escapes the same but the apostrophe, and much faster.
  const quoted = JSON.stringify(chars);
  return quoted.includes("'") ? quoted.replaceAll("'", "\\'") : quoted;
}

const letters: Readonly<Record<string, string>> = {
  '"': '\\"',
  "'": "\\'",
  '\\': '\\\\',
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

function escape(char: string): string {
  return letters[char] ?? `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`;
}

/** The code unit of `uXXXX` or `UXXXXXXXX` at `at`. */
function unicode(raw: Buffer, at: number, fail: (message: string, byte: number) => void): number {
  const digits = raw[at] === 0x75 ? 4 : 8;
  if (endOfDigits(raw, at + 1, digits, 16) !== at + 1 + digits) {
    fail(`expected ${digits} hexadecimal digits after \\${digits === 4 ? 'u' : 'U'}`, at - 1);
  }
  return valueOf(raw, at + 1, at + 1 + digits, 16);
}

function endOfDigits(raw: Buffer, start: number, most: number, base: number): number {
  let end = start;
  while (end < start + most && digit(raw[end]) < base) end++;
  return end;
}

function valueOf(raw: Buffer, start: number, end: number, base: number): number {
  let value = 0;
  for (let at = start; at < end; at++) value = value * base + digit(raw[at]);
  return value;
}

function digit(code = 0): number {
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : Infinity;
}
