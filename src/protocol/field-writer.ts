/**
 * Appends a few fields to an encoded message: one allocation, one copy. The library's BinaryWriter grows from a small
 * array and joins at the end, which for this costs more than the rest of passing a message on.
 */

/** The most bytes of a tag and a length, or a tag and a number. */
const perField = 16;

export class FieldWriter {
  readonly #buffer: Buffer;
  #position: number;
  readonly #head: number;

  /**
   * @param message the message that fields are appended to
   * @param strings all strings that will be written with string(); reserves room for them
   * @param fields how many fields will be written at most
   * @param headBytes room in front of the message, for finishIn()
   */
  constructor(message: Uint8Array, strings: readonly string[], fields: number, headBytes = 0) {
    let characters = 0;
    for (const string of strings) characters += string.length;
    // A character takes three bytes at most in UTF-8 (two of them, a surrogate pair, take four).
    this.#buffer = Buffer.allocUnsafe(headBytes + message.length + characters * 3 + fields * perField);
    this.#buffer.set(message, headBytes);
    this.#head = headBytes;
    this.#position = headBytes + message.length;
  }

  /** A string field; nothing for ''. */
  string(field: number, value: string): this {
    if (value === '') return this;
    this.#varint((field << 3) | 2);
    this.#varint(Buffer.byteLength(value));
    this.#position += this.#buffer.write(value, this.#position);
    return this;
  }

  /** A field of a whole number that is not negative; nothing for 0. */
  number(field: number, value: number): this {
    if (value === 0) return this;
    this.#varint((field << 3) | 0);
    this.#varint(value);
    return this;
  }

  /** A field that holds a message. */
  message(field: number, value: Uint8Array): this {
    this.#varint((field << 3) | 2);
    this.#varint(value.length);
    this.#buffer.set(value, this.#position);
    this.#position += value.length;
    return this;
  }

  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#position);
  }

  /** The message as this field of another one that has nothing else. */
  finishIn(field: number): Uint8Array {
    const length = this.#position - this.#head;
    let lengthBytes = 1;
    for (let rest = length; rest > 127; rest >>>= 7) lengthBytes += 1;
    const end = this.#position;
    const start = this.#head - lengthBytes - 1;
    this.#position = start;
    this.#varint((field << 3) | 2);
    this.#varint(length);
    return this.#buffer.subarray(start, end);
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 127) {
      // Times in ms have more than 32 bits.
      this.#buffer[this.#position] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
      this.#position += 1;
    }
    this.#buffer[this.#position] = rest;
    this.#position += 1;
  }
}

const nothing = new Uint8Array();

/** A message of only these fields; as the constructor. */
export function newMessage(strings: readonly string[], fields: number): FieldWriter {
  return new FieldWriter(nothing, strings, fields);
}
