/**
 * The fields of a message type by name and number, for text format. A map is, as on the wire, a repeated
 * message of `key` and `value`.
 */
import { ScalarType, type DescEnum, type DescField, type DescMessage } from '@bufbuild/protobuf';
import { WireType } from '@bufbuild/protobuf/wire';

export interface TextMessage {
  /** Fully qualified, for errors. */
  readonly name: string;
  readonly isAny: boolean;
  readonly byName: ReadonlyMap<string, TextField>;
  readonly byNumber: ReadonlyMap<number, TextField>;
}

export interface TextField {
  readonly name: string;
  readonly number: number;
  readonly repeated: boolean;
  /**
   * The name that may be given only once: the oneof's, otherwise the field's (they share one scope); unused if
   * repeated.
   */
  readonly slot: string;
  readonly value: TextValue;
  readonly wireType: WireType;
}

export type TextValue =
  | { readonly kind: 'scalar'; readonly scalar: ScalarType }
  | { readonly kind: 'enum'; readonly name: string; readonly numbers: ReadonlyMap<string, number> }
  /** A function, because types may contain themselves. */
  | { readonly kind: 'message'; readonly message: () => TextMessage };

/** A message of an unknown type: only fields by number. */
export const unknownMessage: TextMessage = {
  name: 'an unknown message',
  isAny: false,
  byName: new Map(),
  byNumber: new Map(),
};

/** Derived from immutable descriptors, hence shared. */
const known = new WeakMap<DescMessage, TextMessage>();

/** Groups (proto2) and delimited fields (editions) are not supported; our protocol has none. */
export function textMessage(desc: DescMessage): TextMessage {
  let message = known.get(desc);
  if (message === undefined) {
    message = messageOf(desc.typeName, desc.fields.map(textField));
    known.set(desc, message);
  }
  return message;
}

function textField(field: DescField): TextField {
  const common = { name: field.name, number: field.number, slot: field.oneof?.name ?? field.name };
  if (field.fieldKind !== 'map') {
    return fieldOf({ ...common, repeated: field.fieldKind === 'list', value: valueOf(field) });
  }
  const entry = messageOf(`the map ${field.parent.typeName}.${field.name}`, [
    fieldOf({ name: 'key', number: 1, slot: 'key', repeated: false, value: { kind: 'scalar', scalar: field.mapKey } }),
    fieldOf({ name: 'value', number: 2, slot: 'value', repeated: false, value: valueOf(field) }),
  ]);
  return fieldOf({ ...common, repeated: true, value: { kind: 'message', message: () => entry } });
}

function fieldOf(field: Omit<TextField, 'wireType'>): TextField {
  const wireType =
    field.value.kind === 'scalar'
      ? wireTypeOf(field.value.scalar)
      : field.value.kind === 'enum'
        ? WireType.Varint
        : WireType.LengthDelimited;
  return { ...field, wireType };
}

function messageOf(name: string, fields: readonly TextField[]): TextMessage {
  return {
    name,
    isAny: name === 'google.protobuf.Any',
    byName: new Map(fields.map((field) => [field.name, field])),
    byNumber: new Map(fields.map((field) => [field.number, field])),
  };
}

function valueOf(field: DescField): TextValue {
  const { message } = field;
  if (message !== undefined) return { kind: 'message', message: () => textMessage(message) };
  if (field.enum !== undefined) return { kind: 'enum', name: field.enum.name, numbers: numbersOf(field.enum) };
  return { kind: 'scalar', scalar: field.scalar };
}

function numbersOf(desc: DescEnum): ReadonlyMap<string, number> {
  return new Map(desc.values.map((value) => [value.name, value.number]));
}

function wireTypeOf(scalar: ScalarType): WireType {
  switch (scalar) {
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return WireType.Bit64;
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return WireType.Bit32;
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return WireType.LengthDelimited;
    default:
      return WireType.Varint;
  }
}

/** `; did you mean "x"?` with the name that is fewest edits away (Levenshtein), or nothing if none is near. */
export function suggestion(wrong: string, names: Iterable<string>): string {
  if (wrong.length > 64) return '';
  let best: string | undefined;
  let fewest = Math.max(2, Math.floor(wrong.length / 3)) + 1;
  const plain = (name: string): string => name.toLowerCase().replaceAll('_', '');
  for (const name of names) {
    const edits = distance(plain(wrong), plain(name));
    if (edits < fewest) [best, fewest] = [name, edits];
  }
  return best === undefined ? '' : `; did you mean "${best}"?`;
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const swap = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(swap, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
