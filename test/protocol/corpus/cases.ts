/** Hand-written messages: the values that text formats get wrong. */
import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import {
  DeploySchema,
  OperationResultSchema,
  OperationSchema,
} from '../../../src/protocol/generated/ops/operations_pb.js';
import { Color, EverythingSchema } from './corpus_pb.js';

const manifest = Buffer.from(
  '{"kind":"ConfigMap","data":{"motd":"grüße, 世界 😀\\n","path":"C:\\\\temp","quote":"it\'s \\"x\\""}}\n',
);

export const operations = [
  create(OperationSchema),
  create(OperationSchema, {
    id: '01HZX5T3Q8W2V7N4M6K9J1R0ZC',
    account: 'prod-"eu" \'ä\' 😀 \\ \u007f \u0080 \0',
    timeoutMs: 4294967295,
    receivedTimeMs: 9223372036854775807n,
    trace: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' },
    request: { case: 'deploy', value: { manifest, mode: 2, forceConflicts: true } },
  }),
  create(OperationSchema, { request: { case: 'delete', value: { gracePeriodSeconds: 0, object: {} } } }),
  create(OperationSchema, { request: { case: 'undo', value: { revision: -9223372036854775808n } } }),
  create(OperationSchema, { request: { case: 'list', value: { continue: 'x', limit: 7 } } }),
];

export const results = [
  create(OperationResultSchema, {
    status: -1,
    route: { processedTimeMs: 1n },
    body: {
      case: 'objects',
      value: { manifests: [manifest, new Uint8Array(), Uint8Array.from({ length: 256 }, (_, i) => i)] },
    },
  }),
  create(OperationResultSchema, { body: { case: 'logs', value: { text: Buffer.from('a\r\n\tb\x07\b\f\v') } } }),
];

export const everything = [
  create(EverythingSchema, {
    aDouble: 1e20,
    aFloat: Math.fround(0.1),
    anInt32: -2147483648,
    anInt64: -9223372036854775808n,
    aUint32: 4294967295,
    aUint64: 18446744073709551615n,
    aSint32: -1,
    aSint64: -9223372036854775808n,
    aFixed32: 4294967295,
    aFixed64: 18446744073709551615n,
    aSfixed32: -2147483648,
    aSfixed64: -9223372036854775808n,
    aBool: true,
    aString: 'grüße, 世界 😀 "\'\\?\n',
    someBytes: Uint8Array.from({ length: 256 }, (_, i) => i),
    color: Color.NEGATIVE,
    nested: {},
    optionalInt32: 0,
    optionalString: '',
    constructor$: 'c',
    camelCaseName: 'camel',
    camelCaseMap: { a: { aBool: true }, '': {} },
    wrapped: '',
    any: anyPack(DeploySchema, create(DeploySchema, { manifest, mode: 1 })),
  }),
  create(EverythingSchema, {
    doubles: [NaN, Infinity, -Infinity, -0, 0, 5e-324, 1.7976931348623157e308, 1e21, 123456789012345680000],
    int32s: [0, -1],
    strings: ['', 'a', '\x01' + '1', '\x7f\x80'],
    bytess: [new Uint8Array(), Uint8Array.of(0x1f, 0x41, 0x31)],
    colors: [Color.RED, Color.UNSPECIFIED, Color.NEGATIVE],
    children: [{}, { aFloat: Infinity }, { aFloat: NaN }, { aFloat: -0 }],
    bools: [true, false],
    uint64s: [0n, 18446744073709551615n],
  }),
  create(EverythingSchema, {
    byString: { '': '', a: 'b', 'ä"': "'" },
    byInt64: { '-9223372036854775808': Uint8Array.of(255), '9223372036854775807': new Uint8Array() },
    byBool: { true: Color.RED, false: Color.NEGATIVE },
    byUint64: { '18446744073709551615': { byUint64: { '0': { aString: 'deep' } } } },
    bySint32: { '-1': 1.5, '0': 0 },
  }),
  create(EverythingSchema, { choice: { case: 'choiceString', value: '' } }),
  create(EverythingSchema, { choice: { case: 'choiceMessage', value: {} } }),
  create(EverythingSchema, { choice: { case: 'choiceColor', value: Color.UNSPECIFIED } }),
];

/** With values and fields that a reader does not know; peers differ in what they make of these. */
export const unknownValues = create(EverythingSchema, {
  color: 7 as Color,
  colors: [-7 as Color, 1],
  byBool: { true: 2147483647 as Color },
  choice: { case: 'choiceColor', value: -2147483648 as Color },
});

export const unknownFields = toBinary(
  EverythingSchema,
  create(EverythingSchema, {
    anInt32: -5,
    aFixed32: 42,
    aFloat: 1.5,
    aFixed64: 42n,
    aDouble: -2.5,
    aString: 'text',
    someBytes: new Uint8Array([0x08, 0x81, 0x00]),
    nested: { nested: { anInt64: -1n } },
    int32s: [1, 2, 3],
    byString: { a: 'b' },
  }),
);
