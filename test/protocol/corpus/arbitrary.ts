/** fast-check arbitraries of messages, made of their descriptors. */
import { create, ScalarType, toBinary, type DescField, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { OperationSchema } from '../../../src/protocol/generated/ops/operations_pb.js';

const text = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.stringMatching(/^[\\"'?0-9a-fxnuU\n]{0,20}$/),
);
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  text.map((value) => new Uint8Array(Buffer.from(value))),
);
const int32 = fc.oneof(fc.integer(), fc.constantFrom(0, -1, 2 ** 31 - 1, -(2 ** 31)));
const uint32 = fc.oneof(fc.nat({ max: 2 ** 32 - 1 }), fc.constant(2 ** 32 - 1));
const int64 = fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.constantFrom(0n, -(2n ** 63n)));
const uint64 = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constant(2n ** 64n - 1n));

/** A message of `schema` with messages in it to the given depth. */
export function arbitraryMessage<Desc extends DescMessage>(
  schema: Desc,
  depth: number,
  unknownEnumValues: boolean,
): fc.Arbitrary<MessageShape<Desc>> {
  if (schema.typeName === AnySchema.typeName) {
    const packed = arbitraryMessage(OperationSchema, 1, unknownEnumValues).map((value) =>
      create(AnySchema, { typeUrl: 'type.googleapis.com/ops.Operation', value: toBinary(OperationSchema, value) }),
    );
    return packed as fc.Arbitrary<unknown> as fc.Arbitrary<MessageShape<Desc>>;
  }
  const members: Record<string, fc.Arbitrary<unknown>> = {};
  for (const member of schema.members) {
    const fields = (member.kind === 'oneof' ? member.fields : [member]).filter(
      (field) => depth > 0 || field.message === undefined,
    );
    if (fields.length === 0) continue;
    members[member.localName] =
      member.kind === 'oneof'
        ? fc.oneof(
            ...fields.map((field) =>
              arbitraryField(field, depth, unknownEnumValues).map((value) => ({ case: field.localName, value })),
            ),
          )
        : arbitraryField(member, depth, unknownEnumValues);
  }
  return fc
    .record(members, { requiredKeys: [] })
    .map((init) => create(schema, init as Parameters<typeof create<Desc>>[1]));
}

function arbitraryField(field: DescField, depth: number, unknownEnumValues: boolean): fc.Arbitrary<unknown> {
  let value: fc.Arbitrary<unknown>;
  if (field.message !== undefined) {
    value =
      field.message.typeName === 'google.protobuf.StringValue'
        ? text
        : arbitraryMessage(field.message, depth - 1, unknownEnumValues);
  } else if (field.enum !== undefined) {
    const known = fc.constantFrom(...field.enum.values.map(({ number }) => number));
    value = unknownEnumValues ? fc.oneof(known, int32) : known;
  } else {
    value = arbitraryScalar(field.scalar);
  }
  if (field.fieldKind === 'list') return fc.array(value, { maxLength: 3 });
  if (field.fieldKind !== 'map') return value;
  const key = arbitraryScalar(field.mapKey).filter((name) => name !== '__proto__');
  return fc.array(fc.tuple(key.map(String), value), { maxLength: 3 }).map((pairs) => Object.fromEntries(pairs));
}

function arbitraryScalar(scalar: ScalarType): fc.Arbitrary<unknown> {
  switch (scalar) {
    case ScalarType.STRING:
      return text;
    case ScalarType.BYTES:
      return bytes;
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.DOUBLE:
      return fc.oneof(fc.double(), fc.constantFrom(1e20, 1e21, 5e-324, 1.5, -0, 3));
    case ScalarType.FLOAT:
      return fc.oneof(fc.float(), fc.constantFrom(Math.fround(0.1), Math.fround(1e20), Math.fround(1e-45)));
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return uint32;
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return int64;
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return uint64;
    default:
      return int32;
  }
}
