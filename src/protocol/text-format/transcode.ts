/**
 * Reads text format by way of the wire format: it is transcoded by descriptor, and the library's decoder makes the
 * message, so that presence, oneofs, maps, wrappers, unknown fields and unknown enum values have one implementation.
 */
import { fromBinary, type DescMessage, type MessageShape, type Registry } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { suggestion, textMessage, unknownMessage, type TextField, type TextMessage } from './fields.js';
import { Scanner, quote } from './scanner.js';
import { writeEnum, writeScalar } from './values.js';

/** Messages (and map entries) within each other, the outermost included; as much as protobuf's binary parsers take. */
const deepestNesting = 100;

/** Fields that were already given: slot to field name. */
type Given = Map<string, string>;

/** See parseText. */
export function readText<Desc extends DescMessage>(
  schema: Desc,
  text: string,
  registry: Registry | undefined,
): MessageShape<Desc> {
  return new Transcoder(new Scanner(text), registry).read(schema);
}

class Transcoder {
  readonly #scanner: Scanner;
  readonly #registry: Registry | undefined;
  readonly #writer = new BinaryWriter();
  #depth = 1;
  /** Offset of the first string that was given to a field by number: its content is not checked here. */
  #opaque: number | undefined;

  constructor(scanner: Scanner, registry: Registry | undefined) {
    this.#scanner = scanner;
    this.#registry = registry;
  }

  read<Desc extends DescMessage>(schema: Desc): MessageShape<Desc> {
    this.#scanner.next();
    this.#fields(textMessage(schema), '');
    try {
      return fromBinary(schema, this.#writer.finish(), { recursionLimit: 2 * deepestNesting });
    } catch {
      this.#scanner.fail('this does not hold a valid value of the field with that number', this.#opaque);
    }
  }

  #fields(message: TextMessage, close: string): void {
    const scanner: Scanner = this.#scanner;
    const given: Given = new Map();
    while (close === '' ? scanner.kind !== 'end' : !scanner.take(close)) {
      if (scanner.kind === 'identifier') this.#named(message, given);
      else if (scanner.kind === 'number') this.#numbered(message, given);
      else if (scanner.is('[')) this.#bracketed(message, given);
      else scanner.expected(`a field name of ${message.name}${close === '' ? '' : ` or "${close}"`}`);
      if (!scanner.take(',')) scanner.take(';');
    }
  }

  #named(message: TextMessage, given: Given): void {
    const scanner: Scanner = this.#scanner;
    const field = message.byName.get(scanner.lexeme);
    if (field === undefined) {
      const hint = suggestion(scanner.lexeme, message.byName.keys());
      scanner.expected(`a field name of ${message.name}`, hint);
    }
    this.#once(field, given);
    scanner.next();
    const colon = scanner.take(':');
    if (!colon && field.value.kind !== 'message') scanner.expected(`":" after "${field.name}"`);
    if (!field.repeated || !scanner.take('[')) {
      this.#value(field);
      return;
    }
    if (scanner.take(']')) return;
    do this.#value(field);
    while (scanner.take(','));
    if (!scanner.take(']')) scanner.expected('"," or "]"');
  }

  #value(field: TextField): void {
    const { value, number, wireType } = field;
    this.#writer.tag(number, wireType);
    if (value.kind === 'scalar') writeScalar(this.#scanner, this.#writer, value.scalar);
    else if (value.kind === 'enum') writeEnum(this.#scanner, this.#writer, value);
    else this.#nested(value.message(), field.name);
  }

  /**
   * A field by its number, as printers write unknown fields: `15: 123` (varint), `15: 0x0000002a` (32 bits),
   * `15: 0x000000000000002a` (64 bits), `15: "..."` and `15 { ... }` (length-delimited). A known field is read as
   * such; any other becomes an unknown field.
   */
  #numbered(message: TextMessage, given: Given): void {
    const scanner: Scanner = this.#scanner;
    const number = Number(scanner.lexeme);
    if (!/^[1-9]\d*$/.test(scanner.lexeme) || number > 0x1fffffff) scanner.expected('a field number');
    const field = message.byNumber.get(number);
    if (field !== undefined) this.#once(field, given);
    scanner.next();
    scanner.take(':');
    const writer = this.#writer;
    if (scanner.is('{') || scanner.is('<')) {
      writer.tag(number, this.#wireType(field, WireType.LengthDelimited));
      this.#nested(field?.value.kind === 'message' ? field.value.message() : unknownMessage, String(number));
    } else if (scanner.kind === 'string') {
      this.#opaque ??= scanner.start;
      writer.tag(number, this.#wireType(field, WireType.LengthDelimited)).bytes(Buffer.from(scanner.takeString()));
    } else if (scanner.kind === 'number' && /^(0x[0-9a-f]{8}|0x[0-9a-f]{16}|\d{1,20})$/i.test(scanner.lexeme)) {
      this.#bits(field, number);
    } else {
      scanner.expected(
        'the value of an unknown field (an unsigned number, "0x" with 8 or 16 digits, a string or a message)',
      );
    }
  }

  #bits(field: TextField | undefined, number: number): void {
    const scanner: Scanner = this.#scanner;
    const value = BigInt(scanner.lexeme);
    let wireType = field?.wireType ?? WireType.Varint;
    if (scanner.lexeme.startsWith('0x')) wireType = scanner.lexeme.length === 10 ? WireType.Bit32 : WireType.Bit64;
    // Python prints fixed-width bits in decimal: only a known field distinguishes them from a varint.
    else if (wireType === WireType.LengthDelimited) wireType = WireType.Varint;
    if (value >= (wireType === WireType.Bit32 ? 1n << 32n : 1n << 64n)) scanner.expected('a number of 32 or 64 bits');
    const writer = this.#writer.tag(number, this.#wireType(field, wireType));
    if (wireType === WireType.Bit32) writer.fixed32(Number(value));
    else if (wireType === WireType.Bit64) writer.fixed64(value);
    else writer.uint64(value);
    scanner.next();
  }

  /** Lets `wireType` through if a field that is known can have it; a repeated one may be packed. */
  #wireType(field: TextField | undefined, wireType: WireType): WireType {
    const packed = field?.repeated === true && wireType === WireType.LengthDelimited;
    if (field !== undefined && field.wireType !== wireType && !packed) {
      this.#scanner.expected(`a value of "${field.name}"`);
    }
    return wireType;
  }

  /** `[type.googleapis.com/ops.Deploy] { ... }` in a google.protobuf.Any. */
  #bracketed(message: TextMessage, given: Given): void {
    const scanner: Scanner = this.#scanner;
    const at = scanner.start;
    const url = scanner.takeBracketedName();
    if (!message.isAny) scanner.fail(`${message.name} has no extension ${quote(url)}`, at);
    const type = this.#registry?.getMessage(url.slice(url.lastIndexOf('/') + 1));
    if (type === undefined) scanner.fail(`unknown message type ${quote(url)}`, at);
    for (const field of message.byName.values()) this.#once(field, given, at);
    scanner.take(':');
    this.#writer.tag(1, WireType.LengthDelimited).string(url).tag(2, WireType.LengthDelimited);
    this.#nested(textMessage(type), url);
  }

  #nested(message: TextMessage, name: string): void {
    const scanner: Scanner = this.#scanner;
    const close = scanner.is('{') ? '}' : '>';
    if (!scanner.is('{') && !scanner.is('<')) scanner.expected(`"{" after ${quote(name)}`);
    if (this.#depth >= deepestNesting) scanner.fail(`messages nested more than ${deepestNesting} deep`);
    scanner.next();
    this.#depth++;
    this.#writer.fork();
    this.#fields(message, close);
    this.#writer.join();
    this.#depth--;
  }

  /** Two values for one field have no agreed meaning (protoc refuses, Java takes the last): refused. */
  #once(field: TextField, given: Given, at = this.#scanner.start): void {
    if (field.repeated) return;
    const before = given.get(field.slot);
    if (before === field.name) this.#scanner.fail(`"${field.name}" is given twice`, at);
    if (before !== undefined) {
      this.#scanner.fail(`"${field.name}" and "${before}" exclude each other (oneof ${field.slot})`, at);
    }
    given.set(field.slot, field.name);
  }
}
