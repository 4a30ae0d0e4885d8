/**
 * Reads a few fields of JSON without parsing the rest. Strings are skipped by Buffer's own search, and what is skipped
 * makes no objects.
 */

const quote = 0x22;
const backslash = 0x5c;
const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d];
const [comma, colon] = [0x2c, 0x3a];
const space = 0x20;

/** The JSON ends where no end is expected, or is none. */
export class UnreadableJson extends Error {}

/** Its methods expect it at a value, and leave it behind the value. */
export class JsonCursor {
  readonly #bytes: Buffer;
  readonly #end: number;
  #position = 0;

  /** @param limit bytes that are read at most; behind them the JSON counts as unreadable */
  constructor(bytes: Uint8Array, limit: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#end = Math.min(bytes.byteLength, limit);
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
    const isEscaped = this.#skipString();
    if (!isEscaped) return this.#bytes.toString('utf8', start + 1, this.#position - 1);
    try {
      const text: unknown = JSON.parse(this.#bytes.toString('utf8', start, this.#position));
      return String(text);
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
    while (this.#position < this.#end) {
      const byte = this.#bytes[this.#position] ?? 0;
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

  /** @returns whether it has escapes */
  #skipString(): boolean {
    let end = this.#position;
    let isEscaped = false;
    for (;;) {
      end = this.#bytes.indexOf(quote, end + 1);
      if (end === -1 || end >= this.#end) throw new UnreadableJson();
      let backslashes = 0;
      while (this.#bytes[end - 1 - backslashes] === backslash) backslashes += 1;
      if (backslashes % 2 === 0) break;
      isEscaped = true;
    }
    isEscaped ||= this.#bytes.subarray(this.#position, end).includes(backslash);
    this.#position = end + 1;
    return isEscaped;
  }

  /** A number, true, false or null. */
  #skipWord(): void {
    const start = this.#position;
    while (this.#position < this.#end && isOfWord(this.#bytes[this.#position] ?? 0)) this.#position += 1;
    if (this.#position === start) throw new UnreadableJson();
  }
}

function isOfWord(byte: number): boolean {
  // Letters, digits, "+", "-" and ".".
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x2b && byte <= 0x39 && byte !== comma) || byte === 0x45;
}
