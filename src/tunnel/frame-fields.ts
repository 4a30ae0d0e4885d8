/** Fields of protobuf messages, written into a buffer of exactly their size, and read from one without copies. */

import { isAscii, isUtf8 } from 'node:buffer';

const numberType = 0;
const lengthType = 2;
/** Shorter texts are faster without a call into the runtime. */
const shortText = 32;

/** Bytes of a text in UTF-8. */
export function textSize(text: string): number {
  return text === '' ? 0 : Buffer.byteLength(text);
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) size += 1;
  return size;
}

/** Bytes of a field with a number, and its tag; nothing for 0. */
export function numberSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

/** Bytes of a field of this length, with its tag. */
export function lengthSize(length: number): number {
  return 1 + varintSize(length) + length;
}

/** Of fields 1 to 15, whose tags have one byte. */
export class FrameWriter {
  readonly bytes: Buffer;
  #position = 0;

  /** @param size of all that will be written, exactly */
  constructor(size: number) {
    this.bytes = Buffer.allocUnsafe(size);
  }

  /** The beginning of a field of this length. */
  open(field: number, length: number): void {
    this.bytes[this.#position] = (field << 3) | lengthType;
    this.#position += 1;
    this.#varint(length);
  }

  /** Nothing for 0. */
  number(field: number, value: number): void {
    if (value !== 0) this.present(field, value);
  }

  /** 0, too. */
  present(field: number, value: number): void {
    this.bytes[this.#position] = (field << 3) | numberType;
    this.#position += 1;
    this.#varint(value);
  }

  flag(field: number, value: boolean): void {
    if (value) this.present(field, 1);
  }

  /** Nothing for ''. */
  text(field: number, text: string): void {
    if (text !== '') this.#text(field, text);
  }

  texts(field: number, texts: readonly string[]): void {
    for (const text of texts) this.#text(field, text);
  }

  raw(field: number, data: Uint8Array): void {
    this.open(field, data.length);
    this.bytes.set(data, this.#position);
    this.#position += data.length;
  }

  #text(field: number, text: string): void {
    const size = textSize(text);
    this.open(field, size);
    if (size !== text.length) this.#position += this.bytes.write(text, this.#position);
    else if (size > shortText) this.#position += this.bytes.write(text, this.#position, 'latin1');
    else {
      for (let index = 0; index < size; index += 1) this.bytes[this.#position + index] = text.charCodeAt(index);
      this.#position += size;
    }
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 127) {
      this.bytes[this.#position] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
      this.#position += 1;
    }
    this.bytes[this.#position] = rest;
    this.#position += 1;
  }
}

/** Every method throws Error if the bytes are not fields. */
export class FrameReader {
  readonly #bytes: Buffer;
  #position: number;
  readonly #end: number;
  /** The number of the field that next() came to. */
  field = 0;
  #type = 0;
  /** All texts at once, if they are ASCII, and where that begins. */
  #texts: string | undefined;
  #textsStart = 0;

  constructor(bytes: Buffer, position = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#position = position;
    this.#end = end;
  }

  /** Goes to the next field; false at the end. */
  next(): boolean {
    if (this.#position >= this.#end) return false;
    const tag = this.#varint();
    this.#type = tag % 8;
    this.field = Math.floor(tag / 8);
    if (this.field === 0) throw new Error('a field has number 0');
    return true;
  }

  number(): number {
    this.#expect(numberType);
    return this.#varint();
  }

  /** A view. */
  raw(): Buffer {
    const start = this.#span();
    return this.#bytes.subarray(start, this.#position);
  }

  /** A message in this field. */
  inner(): FrameReader {
    const start = this.#span();
    return new FrameReader(this.#bytes, start, this.#position);
  }

  text(): string {
    const start = this.#span();
    const end = this.#position;
    if (this.#texts !== undefined && end <= this.#textsStart + this.#texts.length)
      return this.#texts.slice(start - this.#textsStart, end - this.#textsStart);
    const view = this.#bytes.subarray(start, end);
    if (!isUtf8(view)) throw new Error('a string in it is not UTF-8');
    return view.toString('utf8');
  }

  /** Prepares text() for many short texts: decodes all that comes before `body` in one go, if it is ASCII. */
  decodeTexts(body: number): void {
    const start = this.#position;
    let end = start;
    while (this.next() && this.field !== body) {
      this.skip();
      end = this.#position;
    }
    this.#position = start;
    if (!isAscii(this.#bytes.subarray(start, end))) return;
    this.#texts = this.#bytes.toString('latin1', start, end);
    this.#textsStart = start;
  }

  skip(): void {
    switch (this.#type) {
      case numberType:
        this.#varint(10);
        return;
      case lengthType:
        this.#span();
        return;
      case 1:
        this.#advance(8);
        return;
      case 5:
        this.#advance(4);
        return;
      default:
        throw new Error(`field ${String(this.field)} has the unknown type ${String(this.#type)}`);
    }
  }

  /** Where the field's content begins; the position is then at its end. */
  #span(): number {
    this.#expect(lengthType);
    const length = this.#varint();
    const start = this.#position;
    this.#advance(length);
    return start;
  }

  #advance(bytes: number): void {
    if (bytes > this.#end - this.#position) throw new Error('it is cut off');
    this.#position += bytes;
  }

  #expect(type: number): void {
    if (this.#type !== type) throw new Error(`field ${String(this.field)} has the wrong type`);
  }

  /** @param longest bytes that it may have: with 7, every value is exact */
  #varint(longest = 7): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < longest; count += 1) {
      if (this.#position >= this.#end) throw new Error('it is cut off');
      const byte = this.#bytes[this.#position] ?? 0;
      this.#position += 1;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    throw new Error('a number in it is too large');
  }
}
