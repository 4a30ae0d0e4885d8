/**
 * Reads a few fields of JSON without parsing the rest. What is skipped makes no objects.
 */

const quote = 0x22;
const backslash = 0x5c;
const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d];
const [comma, colon] = [0x2c, 0x3a];
const space = 0x20;

/** Without escapes, and in ASCII. */
const isPlain = /^[\x20-\x5b\x5d-\x7e]*$/u;

/** The JSON ends where no end is expected, or is none. */
export class UnreadableJson extends Error {}

/** Its methods expect it at a value, and leave it behind the value. */
export class JsonCursor {
  /** A character for each byte: strings are searched and cut faster than buffers. */
  readonly #text: string;
  #position = 0;

  /** @param limit bytes that are read at most; behind them the JSON counts as unreadable */
  constructor(bytes: Uint8Array, limit: number) {
    const length = Math.min(bytes.byteLength, limit);
    this.#text = Buffer.from(bytes.buffer, bytes.byteOffset, length).toString('latin1');
  }

  /**
   * Calls `field` at the value of each field of an object; it must read or skip the value. Skips any other value.
   * @param field returns false to stop there, inside the object
   * @throws UnreadableJson
   */
  object(field: (name: string) => boolean): void {
    if (this.#next() !== openBrace) {
      this.skip();
      return;
    }
    this.#position += 1;
    if (this.#next() === closeBrace) this.#position += 1;
    else {
      for (;;) {
        const name = this.text();
        this.#expect(colon);
        if (!field(name)) return;
        if (this.#isLast(closeBrace)) return;
      }
    }
  }

  /** Calls `item` at each item of an array; it must read or skip the item. Skips any other value. @throws UnreadableJson */
  array(item: () => void): void {
    if (this.#next() !== openBracket) {
      this.skip();
      return;
    }
    this.#position += 1;
    if (this.#next() === closeBracket) this.#position += 1;
    else
      do item();
      while (!this.#isLast(closeBracket));
  }

  /** A string; '' for any other value. @throws UnreadableJson */
  text(): string {
    if (this.#next() !== quote) {
      this.skip();
      return '';
    }
    const start = this.#position;
    this.#skipString();
    const content = this.#text.slice(start + 1, this.#position - 1);
    if (isPlain.test(content)) return content;
    try {
      return String(JSON.parse(`"${Buffer.from(content, 'latin1').toString('utf8')}"`));
    } catch {
      throw new UnreadableJson();
    }
  }

  /** @throws UnreadableJson */
  skip(): void {
    let depth = 0;
    do {
      const byte = this.#next();
      if (byte === quote) this.#skipString();
      else if (byte === openBrace || byte === openBracket) {
        depth += 1;
        this.#position += 1;
      } else if (depth > 0 && (byte === closeBrace || byte === closeBracket)) {
        depth -= 1;
        this.#position += 1;
      } else if (depth > 0 && (byte === comma || byte === colon)) this.#position += 1;
      else this.#skipWord();
    } while (depth > 0);
  }

  /** The byte of the next token. */
  #next(): number {
    while (this.#position < this.#text.length) {
      const byte = this.#text.charCodeAt(this.#position);
      if (byte > space) return byte;
      this.#position += 1;
    }
    throw new UnreadableJson();
  }

  #expect(wanted: number): void {
    if (this.#next() !== wanted) throw new UnreadableJson();
    this.#position += 1;
  }

  /** Passes the comma or the end behind a field or an item. */
  #isLast(end: number): boolean {
    const byte = this.#next();
    if (byte !== comma && byte !== end) throw new UnreadableJson();
    this.#position += 1;
    return byte === end;
  }

  #skipString(): void {
    let end = this.#position;
    for (;;) {
      end = this.#text.indexOf('"', end + 1);
      if (end === -1) throw new UnreadableJson();
      let backslashes = 0;
      while (this.#text.charCodeAt(end - 1 - backslashes) === backslash) backslashes += 1;
      if (backslashes % 2 === 0) break;
    }
    this.#position = end + 1;
  }

  /** A number, true, false or null. */
  #skipWord(): void {
    const start = this.#position;
    while (this.#position < this.#text.length && isOfWord(this.#text.charCodeAt(this.#position))) this.#position += 1;
    if (this.#position === start) throw new UnreadableJson();
  }
}

function isOfWord(byte: number): boolean {
  // Letters, digits, "+", "-" and ".".
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x2b && byte <= 0x39 && byte !== comma) || byte === 0x45;
}
