/** Prints a message as Java's TextFormat does: one field a line by number, `a {`, two spaces, ASCII, octal escapes. */
import { ScalarType } from '@bufbuild/protobuf';
import type { ReflectMessage } from '@bufbuild/protobuf/reflect';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import type { DescEnum, Message } from '@bufbuild/protobuf';
import { quoteLiteral } from './escapes.js';

/** `unknown`: print unknown fields too, by number. */
export function printFields(message: ReflectMessage, unknown: boolean, indent = ''): string {
  let out = '';
  const one = (name: string, text: string): void => {
    out += `${indent}${name}: ${text}\n`;
  };
  const nested = (name: string, value: ReflectMessage): void => {
    out += `${indent}${name} {\n${printFields(value, unknown, `${indent}  `)}${indent}}\n`;
  };
  for (const field of message.sortedFields) {
    if (!message.isSet(field)) continue;
    switch (field.fieldKind) {
      case 'scalar':
        one(field.name, scalarText(field.scalar, message.get(field)));
        break;
      case 'enum':
        one(field.name, enumText(field.enum, message.get(field)));
        break;
      case 'message':
        nested(field.name, message.get(field));
        break;
      case 'list':
        for (const item of message.get(field)) {
          if (field.listKind === 'message') nested(field.name, item as ReflectMessage);
          else if (field.listKind === 'enum') one(field.name, enumText(field.enum, item as number));
          else one(field.name, scalarText(field.scalar, item));
        }
        break;
      case 'map':
        for (const [key, value] of [...message.get(field)].sort(byKey)) {
          out += `${indent}${field.name} {\n${indent}  key: ${scalarText(field.mapKey, key)}\n`;
          indent += '  ';
          if (field.mapKind === 'message') nested('value', value as ReflectMessage);
          else if (field.mapKind === 'enum') one('value', enumText(field.enum, value as number));
          else one('value', scalarText(field.scalar, value));
          indent = indent.slice(2);
          out += `${indent}}\n`;
        }
        break;
    }
  }
  return unknown ? out + unknownText(message.getUnknown() ?? [], indent) : out;
}

/** As Java does; the keys of one map are of one type. */
function byKey([a]: readonly [unknown, unknown], [b]: readonly [unknown, unknown]): number {
  return (a as string | number) < (b as string | number) ? -1 : 1;
}

function scalarText(scalar: ScalarType, value: unknown): string {
  if (typeof value === 'string' || value instanceof Uint8Array) return quoteLiteral(value);
  if (typeof value !== 'number') return String(value);
  if (scalar === ScalarType.DOUBLE) return floatText(value);
  return scalar === ScalarType.FLOAT ? floatText(shortest(Math.fround(value))) : String(value);
}

function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const text = Object.is(value, -0) ? '-0' : String(value);
  // An integer literal would have to fit into 64 bits for some parsers.
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** The shortest decimal that still is this 32-bit number; nine digits always are enough (IEEE 754). */
function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Object.is(Math.fround(candidate), value)) return candidate;
  }
  return value;
}

/** The number where the value has no name: Java's UNKNOWN_ENUM_VALUE_... is refused by all parsers, Java's included. */
function enumText(desc: DescEnum, value: number): string {
  return desc.value[value]?.name ?? String(value);
}

/**
 * Length-delimited ones always as a string: to guess that it is a message, as other printers do, can lose bytes.
 * Groups cannot be told from messages in text and are left out.
 */
function unknownText(fields: NonNullable<Message['$unknown']>, indent: string): string {
  let out = '';
  for (const { no, wireType, data } of fields) {
    const reader = new BinaryReader(data);
    let text: string;
    if (wireType === WireType.Varint) text = String(reader.uint64());
    else if (wireType === WireType.Bit32) text = `0x${reader.fixed32().toString(16).padStart(8, '0')}`;
    else if (wireType === WireType.Bit64) text = `0x${BigInt(reader.fixed64()).toString(16).padStart(16, '0')}`;
    else if (wireType === WireType.LengthDelimited) text = quoteLiteral(reader.bytes());
    else continue;
    out += `${indent}${no}: ${text}\n`;
  }
  return out;
}
