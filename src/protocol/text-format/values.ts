/** Single values of text format: numbers with their ranges, floats, booleans, strings, enum values. */
import { isUtf8 } from 'node:buffer';
import { ScalarType } from '@bufbuild/protobuf';
import type { BinaryWriter } from '@bufbuild/protobuf/wire';
import { suggestion, type TextValue } from './fields.js';
import type { Scanner } from './scanner.js';

interface Range {
  readonly name: string;
  readonly least: bigint;
  readonly most: bigint;
}

const int32: Range = { name: 'an int32', least: -(2n ** 31n), most: 2n ** 31n - 1n };
const uint32: Range = { name: 'a uint32', least: 0n, most: 2n ** 32n - 1n };
const int64: Range = { name: 'an int64', least: -(2n ** 63n), most: 2n ** 63n - 1n };
const uint64: Range = { name: 'a uint64', least: 0n, most: 2n ** 64n - 1n };
const bit: Range = { name: 'true or false', least: 0n, most: 1n };

/** Reads one value of type `scalar` and writes it, without its tag. */
export function writeScalar(scanner: Scanner, writer: BinaryWriter, scalar: ScalarType): void {
  switch (scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      writeString(scanner, writer, scalar);
      return;
    case ScalarType.BOOL:
      writer.bool(boolean(scanner));
      return;
    case ScalarType.INT32:
      writer.int32(Number(integer(scanner, int32)));
      return;
    case ScalarType.SINT32:
      writer.sint32(Number(integer(scanner, int32)));
      return;
    case ScalarType.SFIXED32:
      writer.sfixed32(Number(integer(scanner, int32)));
      return;
    case ScalarType.UINT32:
      writer.uint32(Number(integer(scanner, uint32)));
      return;
    case ScalarType.FIXED32:
      writer.fixed32(Number(integer(scanner, uint32)));
      return;
    case ScalarType.INT64:
      writer.int64(integer(scanner, int64));
      return;
    case ScalarType.SINT64:
      writer.sint64(integer(scanner, int64));
      return;
    case ScalarType.SFIXED64:
      writer.sfixed64(integer(scanner, int64));
      return;
    case ScalarType.UINT64:
      writer.uint64(integer(scanner, uint64));
      return;
    case ScalarType.FIXED64:
      writer.fixed64(integer(scanner, uint64));
      return;
    case ScalarType.FLOAT:
      // Too large for 32 bits is infinite, as in every parser.
      writer.float(Math.fround(float(scanner)));
      return;
    case ScalarType.DOUBLE:
      writer.double(float(scanner));
      return;
  }
}

/** By name, by number, or as Java prints a number that it does not know: UNKNOWN_ENUM_VALUE_Mode_7. */
export function writeEnum(scanner: Scanner, writer: BinaryWriter, value: TextValue & { kind: 'enum' }): void {
  if (scanner.kind !== 'identifier') {
    writer.int32(Number(integer(scanner, { ...int32, name: `a value of enum ${value.name}` })));
    return;
  }
  const name = scanner.lexeme;
  const known = value.numbers.get(name);
  const unknown = `UNKNOWN_ENUM_VALUE_${value.name}_`;
  if (known !== undefined) {
    writer.int32(known);
    scanner.next();
  } else if (name === unknown) {
    // A negative number: the minus ends the identifier.
    scanner.next();
    writer.int32(Number(integer(scanner, int32)));
  } else if (name.startsWith(unknown) && /^\d{1,10}$/.test(name.slice(unknown.length))) {
    const number = Number(name.slice(unknown.length));
    if (number > Number(int32.most)) scanner.expected(`a value of enum ${value.name}`);
    writer.int32(number);
    scanner.next();
  } else {
    scanner.expected(`a value of enum ${value.name}`, suggestion(name, value.numbers.keys()));
  }
}

function writeString(scanner: Scanner, writer: BinaryWriter, scalar: ScalarType): void {
  if (scanner.kind !== 'string') scanner.expected('a quoted string');
  const at = scanner.start;
  const value = scanner.takeString();
  if (typeof value === 'string') {
    writer.string(value);
    return;
  }
  if (scalar === ScalarType.STRING && !isUtf8(value)) scanner.fail('this string is not valid UTF-8', at);
  writer.bytes(value);
}

function boolean(scanner: Scanner): boolean {
  if (scanner.kind !== 'identifier') return integer(scanner, bit) === 1n;
  const name = scanner.lexeme;
  const value = name === 'true' || name === 'True' || name === 't';
  if (!value && name !== 'false' && name !== 'False' && name !== 'f') scanner.expected(bit.name);
  scanner.next();
  return value;
}

function integer(scanner: Scanner, range: Range): bigint {
  const at = scanner.start;
  const sign = scanner.take('-') ? -1n : 1n;
  const digits = scanner.lexeme;
  if (scanner.kind !== 'number' || !/^(0[xX].*|\d+)$/.test(digits)) scanner.expected(range.name);
  // Longer ones are out of every range; to convert them would cost more than linear time.
  const value = digits.length > 40 ? undefined : sign * BigInt(digits.replace(/^0(?=\d)/, '0o'));
  if (value === undefined || value < range.least || value > range.most) {
    scanner.fail(`expected ${range.name} (${range.least} to ${range.most}), got a number out of its range`, at);
  }
  scanner.next();
  return value;
}

function float(scanner: Scanner): number {
  const sign = scanner.take('-') ? -1 : 1;
  const lexeme = scanner.lexeme.toLowerCase();
  let value: number;
  if (scanner.kind === 'number' && !/^0[x0-7]/.test(lexeme)) value = Number(lexeme.replace(/f$/, ''));
  else if (scanner.kind === 'identifier' && (lexeme === 'inf' || lexeme === 'infinity')) value = Infinity;
  else if (scanner.kind === 'identifier' && lexeme === 'nan') value = NaN;
  else scanner.expected('a decimal number, inf or nan');
  scanner.next();
  return sign * value;
}
