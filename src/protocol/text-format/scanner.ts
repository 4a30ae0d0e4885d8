/**
 * Splits protobuf text format into tokens, each character looked at once, and makes the errors that name a place.
 * Lexical rules: https://protobuf.dev/reference/protobuf/textformat-spec/, and what protoc's tokenizer takes beside them.
 */
import { GatewayError, type ErrorDetails } from '../../core/errors.js';
import { unescape } from './escapes.js';

export type TokenKind = 'identifier' | 'number' | 'string' | 'symbol' | 'end';

/** Details of every error of parseText: where in the text it is. Both count from 1; columns are UTF-16 code units. */
export interface TextPosition extends ErrorDetails {
  readonly line: number;
  readonly column: number;
}

const number = /0[xX][0-9a-fA-F]+|0[0-7]+|(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?[fF]?/y;
const typeUrl = /\s*([\w./%~!$&()*+,;=-]+)\s*\]/y;
const symbols = new Set('{}<>[]:,;-');
const newline = 10;
const backslash = 92;
/** Longest piece of the text that an error repeats. */
const longestQuote = 40;

export class Scanner {
  readonly #text: string;
  #escaped = false;
  /** The current token; call next() once before the first look. */
  kind: TokenKind = 'end';
  start = 0;
  end = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get lexeme(): string {
    return this.#text.slice(this.start, this.end);
  }

  /** Goes to the next token. */
  next(): void {
    const text = this.#text;
    let at = this.end;
    let code = text.charCodeAt(at);
    while (code === 32 || (code >= 9 && code <= 13) || code === 35 || (code === 0xfeff && at === 0)) {
      if (code === 35) at = text.indexOf('\n', at);
      if (at < 0) at = text.length;
      code = text.charCodeAt(++at);
    }
    this.start = Math.min(at, text.length);
    if (at >= text.length) {
      this.kind = 'end';
      this.end = this.start;
    } else if (isWord(code) && !isDigit(code)) {
      while (isWord(text.charCodeAt(++at)));
      this.kind = 'identifier';
      this.end = at;
    } else if (isDigit(code) || (code === 46 && isDigit(text.charCodeAt(at + 1)))) {
      this.#number();
    } else if (code === 34 || code === 39) {
      this.#string(code);
    } else if (symbols.has(text.charAt(at))) {
      this.kind = 'symbol';
      this.end = at + 1;
    } else {
      this.fail(`unexpected ${quote(String.fromCodePoint(text.codePointAt(at) ?? 0))}`);
    }
  }

  is(symbol: string): boolean {
    return this.kind === 'symbol' && this.#text[this.start] === symbol;
  }

  /** Goes past `symbol` if it is the current token, and says whether it was. */
  take(symbol: string): boolean {
    if (!this.is(symbol)) return false;
    this.next();
    return true;
  }

  /** The current and all adjacent string literals as one value: text where none has escapes, else bytes. */
  takeString(): string | Buffer {
    let value = this.#literal();
    this.next();
    if (this.kind !== 'string') return value;
    const parts = [Buffer.from(value)];
    while (this.kind === 'string') {
      value = this.#literal();
      parts.push(Buffer.from(value));
      this.next();
    }
    return Buffer.concat(parts);
  }

  /** The name in `[...]`, the bracket being the current token; goes past it. */
  takeBracketedName(): string {
    typeUrl.lastIndex = this.end;
    const found = typeUrl.exec(this.#text)?.[1];
    if (found === undefined) this.fail('expected a type name and "]" after "["');
    this.end = typeUrl.lastIndex;
    this.next();
    return found;
  }

  /** Fails with "expected ..., got <the current token>" and, if there is one, a hint. */
  expected(what: string, hint = ''): never {
    this.fail(`expected ${what}, got ${this.#describe()}${hint}`);
  }

  /** @throws GatewayError invalid-argument with TextPosition, about offset `at`. */
  fail(message: string, at = this.start): never {
    const before = this.#text.slice(0, at);
    const line = before.split('\n').length;
    const position: TextPosition = { line, column: at - before.lastIndexOf('\n') };
    throw new GatewayError(
      'invalid-argument',
      `text format, line ${line}, column ${position.column}: ${message}`,
      position,
    );
  }

  /** String values stay out of errors: manifests may hold secrets. */
  #describe(): string {
    if (this.kind === 'end') return 'the end of the text';
    return this.kind === 'string' ? 'a string' : quote(this.lexeme);
  }

  #number(): void {
    number.lastIndex = this.start;
    number.test(this.#text);
    this.kind = 'number';
    this.end = number.lastIndex;
    const code = this.#text.charCodeAt(this.end);
    if (isWord(code) || code === 46) this.fail('malformed number');
  }

  #string(quoteCode: number): void {
    const text = this.#text;
    let at = this.start + 1;
    this.#escaped = false;
    for (let code = text.charCodeAt(at); code !== quoteCode; code = text.charCodeAt(++at)) {
      if (code === backslash) {
        this.#escaped = true;
        at++;
      } else if (code === newline) {
        this.fail('a string must end on its line', at);
      } else if (!(code < 0xd800)) {
        if (at >= text.length) this.fail('this string does not end');
        const point = text.codePointAt(at) ?? 0;
        if (point > 0xffff) at++;
        else if (point <= 0xdfff) this.fail('half of a surrogate pair', at);
      }
    }
    this.kind = 'string';
    this.end = at + 1;
  }

  #literal(): string | Buffer {
    const raw = this.#text.slice(this.start + 1, this.end - 1);
    if (!this.#escaped) return raw;
    return unescape(Buffer.from(raw), (message, byte) => {
      this.fail(message, this.start + 1 + Buffer.from(raw).toString('utf8', 0, byte).length);
    });
  }
}

/** For error messages: a name or number of the text, shortened, unprintable characters as code points. */
export function quote(text: string): string {
  const short = text.length > longestQuote ? `${text.slice(0, longestQuote)}...` : text;
  return `"${short.replace(/[^ -~]/gu, (char) => `U+${char.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}`)}"`;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function isWord(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57) || code === 95;
}
