/** What text format's reader takes beside its own printer's output, and what it says of what it does not take. */
import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { EmptySchema } from '@bufbuild/protobuf/wkt';
import { test } from 'tap';
import type { GatewayError } from '../../src/core/errors.js';
import { DeploySchema, OperationSchema } from '../../src/protocol/generated/ops/operations_pb.js';
import { formatText, parseText } from '../../src/protocol/text-format.js';
import { unknownFields } from './corpus/cases.js';
import { EverythingSchema, type Color } from './corpus/corpus_pb.js';

type Init = MessageInitShape<typeof EverythingSchema>;

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

const accepted: Record<string, [text: string, init: Init]> = {
  'an empty text': [' \t\r\n # nothing', {}],
  'a byte order mark': ['\ufeffa_bool: true', { aBool: true }],
  'braces with and without colon': ['nested { } children: { } children:{}', { nested: {}, children: [{}, {}] }],
  'angle brackets': ['nested < nested: < a_bool: true > >', { nested: { nested: { aBool: true } } }],
  separators: ['a_bool: t; an_int32: 1, nested {a_bool: 1;}, ', { aBool: true, anInt32: 1, nested: { aBool: true } }],
  comments: ['# one\na_bool: # two\n true # three', { aBool: true }],
  lists: [
    'int32s: [1, -2,3] int32s: 4 int32s: [] strings: ["a" "b", \'c\']',
    { int32s: [1, -2, 3, 4], strings: ['ab', 'c'] },
  ],
  'lists of messages': ['children: [{a_bool: true}, <>] children [{}]', { children: [{ aBool: true }, {}, {}] }],
  'lists of map entries': ['by_string: [{key: "a" value: "b"}, {key: "c"}]', { byString: { a: 'b', c: '' } }],
  'maps without key or value': [
    'by_string {value: "v"} by_int64 {key: 1} by_uint64 {} by_bool {key: true}',
    { byString: { '': 'v' }, byInt64: { '1': bytes() }, byUint64: { '0': {} }, byBool: { true: 0 } },
  ],
  'the last of equal map keys': [
    'by_string {key: "a" value: "1"} by_string {key: "a" value: "2"}',
    { byString: { a: '2' } },
  ],
  'a map key __proto__': [
    'by_string {key: "__proto__" value: "v"}',
    { byString: Object.fromEntries([['__proto__', 'v']]) },
  ],
  'adjacent strings': ['a_string: "a" \'b"\'\n # and\n "\\303" "\\244"', { aString: 'ab"ä' }],
  escapes: [
    'some_bytes: "\\a\\b\\f\\n\\r\\t\\v\\\\\\\'\\"\\?\\0\\18\\x4\\xfFf\\377"',
    { someBytes: bytes(7, 8, 12, 10, 13, 9, 11, 92, 39, 34, 63, 0, 1, 56, 4, 255, 102, 255) },
  ],
  'Unicode escapes': ['a_string: "\\u00e4\\U0001F600\\ud83d\\ude00 ä😀"', { aString: 'ä😀😀 ä😀' }],
  integers: [
    'an_int32: - 0x1F a_uint32: 017 an_int64: -0x8000000000000000 a_uint64: 0xffffffffffffffff',
    { anInt32: -31, aUint32: 15, anInt64: -(2n ** 63n), aUint64: 2n ** 64n - 1n },
  ],
  floats: [
    'doubles: [1, -2.5, .5, 5., 1.0E20, 1e-3f, 1F, inf, -Infinity, NaN, -inf] a_float: 1e39',
    { doubles: [1, -2.5, 0.5, 5, 1e20, 1e-3, 1, Infinity, -Infinity, NaN, -Infinity], aFloat: Infinity },
  ],
  booleans: [
    'bools: [true, True, t, 1, false, False, f, 0]',
    { bools: [true, true, true, true, false, false, false, false] },
  ],
  'enum values': [
    'colors: [COLOR_RED, -3, 9, UNKNOWN_ENUM_VALUE_Color_7, UNKNOWN_ENUM_VALUE_Color_-8]',
    { colors: [1, -3, 9 as Color, 7 as Color, -8 as Color] },
  ],
  'names as they are in the .proto file': [
    'camelCaseName: "a" constructor: "b"',
    { camelCaseName: 'a', constructor$: 'b' },
  ],
  presence: ['optional_int32: 0 choice_string: ""', { optionalInt32: 0, choice: { case: 'choiceString', value: '' } }],
  'Any in two fields': ['any { type_url: "a/b.C" value: "\\001" }', { any: { typeUrl: 'a/b.C', value: bytes(1) } }],
  wrappers: ['wrapped { value: "a" }', { wrapped: 'a' }],
  'known fields by number': [
    '3: 5 7: 9 9: 0x0000002a 11: 0xffffffff 10: 43 12: 18446744073709551615 2: 0x3fc00000 1: 0x3ff8000000000000 14: "a" 17 { 3: 6 a_bool: true } 20: "\\001\\002" 20: 3 30 { 1: "k" 2: "v" } 25: "\\030\\004"',
    {
      anInt32: 5,
      aSint32: -5,
      aFixed32: 42,
      aSfixed32: -1,
      aFixed64: 43n,
      aSfixed64: -1n,
      aFloat: 1.5,
      aDouble: 1.5,
      aString: 'a',
      nested: { anInt32: 6, aBool: true },
      int32s: [1, 2, 3],
      byString: { k: 'v' },
      children: [{ anInt32: 4 }],
    },
  ],
};

for (const [name, [text, init]] of Object.entries(accepted)) {
  test(`takes ${name}`, async (t) => {
    const wanted = toBinary(EverythingSchema, create(EverythingSchema, init));
    t.same(parseText(EverythingSchema, text), fromBinary(EverythingSchema, wanted));
  });
}

test('keeps unknown fields that are given by number', async (t) => {
  const read = parseText(
    DeploySchema,
    '99: 300 98: 0x0000002a 97: 0x000000000000002a 96: "\\377" 95 { 1: 1 } 94: 18446744073709551615',
  );
  t.same(
    read.$unknown?.map(({ no, wireType, data }) => [no, wireType, Buffer.from(data).toString('hex')]),
    [
      [99, 0, 'ac02'],
      [98, 5, '2a000000'],
      [97, 1, '2a00000000000000'],
      [96, 2, '01ff'],
      [95, 2, '020801'],
      [94, 0, 'ffffffffffffffffff01'],
    ],
  );
});

test('prints unknown fields only where asked to, and loses nothing of them', async (t) => {
  const unknown = fromBinary(EmptySchema, unknownFields);
  t.equal(formatText(EmptySchema, unknown), '');
  const text = formatText(EmptySchema, unknown, { unknownFields: true });
  t.same(toBinary(EmptySchema, parseText(EmptySchema, text)), unknownFields);
  const nested = parseText(EverythingSchema, 'nested { 999: 5 }');
  t.equal(formatText(EverythingSchema, nested, { unknownFields: true }), 'nested {\n  999: 5\n}\n');
});

test('prints a message as Java does', async (t) => {
  const maps = create(EverythingSchema, {
    byString: { b: '', ä: '"\'' },
    byInt64: { '2': bytes(255, 7), '-1': bytes() },
    nested: { nested: { doubles: [1, 1e21] } },
  });
  t.equal(
    formatText(EverythingSchema, maps),
    [
      'nested {\n  nested {\n    doubles: 1.0\n    doubles: 1e+21\n  }\n}\n',
      'by_string {\n  key: "b"\n  value: ""\n}\nby_string {\n  key: "\\303\\244"\n  value: "\\"\\\'"\n}\n',
      'by_int64 {\n  key: -1\n  value: ""\n}\nby_int64 {\n  key: 2\n  value: "\\377\\a"\n}\n',
    ].join(''),
  );
});

const deep = (depth: number): string => 'nested {'.repeat(depth) + '}'.repeat(depth);

test('takes 100 messages within each other, no more', async (t) => {
  parseText(EverythingSchema, deep(99));
  parseText(EverythingSchema, '1000 {'.repeat(99) + '}'.repeat(99));
  for (const text of [deep(100), deep(1_000_000), '1000 {'.repeat(100)]) {
    t.throws(() => parseText(EverythingSchema, text), {
      code: 'invalid-argument',
      message: /column \d+: messages nested more than 100 deep/,
    });
  }
});

const refused: Record<string, [text: string, message: string]> = {
  'an unknown name': [
    'id: "a"\ndeploy {\n  foo: 1\n}',
    'line 3, column 3: expected a field name of ops.Deploy, got "foo"',
  ],
  'a misspelt name': [
    'acount: "a"',
    'line 1, column 1: expected a field name of ops.Operation, got "acount"; did you mean "account"?',
  ],
  'a JSON name': [
    'timeoutMs: 1',
    'line 1, column 1: expected a field name of ops.Operation, got "timeoutMs"; did you mean "timeout_ms"?',
  ],
  JSON: ['{"operation": 1}', 'line 1, column 1: expected a field name of ops.Operation, got "{"'],
  'a long name': [
    'x'.repeat(1000),
    `line 1, column 1: expected a field name of ops.Operation, got "${'x'.repeat(40)}..."`,
  ],
  'a brace too few': [
    'deploy {\n',
    'line 2, column 1: expected a field name of ops.Deploy or "}", got the end of the text',
  ],
  'a brace too many': ['}', 'line 1, column 1: expected a field name of ops.Operation, got "}"'],
  'the wrong brace': ['deploy { >', 'line 1, column 10: expected a field name of ops.Deploy or "}", got ">"'],
  'a missing colon': ['account "a"', 'line 1, column 9: expected ":" after "account", got a string'],
  'a missing value': ['account:', 'line 1, column 9: expected a quoted string, got the end of the text'],
  'a name for a string': ['account: abc', 'line 1, column 10: expected a quoted string, got "abc"'],
  'a scalar for a message': ['deploy: 1', 'line 1, column 9: expected "{" after "deploy", got "1"'],
  'a string for a number': ['timeout_ms: "1"', 'line 1, column 13: expected a uint32, got a string'],
  'a float for an integer': ['timeout_ms: 1.0', 'line 1, column 13: expected a uint32, got "1.0"'],
  'a negative unsigned number': [
    'timeout_ms: -1',
    'line 1, column 13: expected a uint32 (0 to 4294967295), got a number out of its range',
  ],
  'a number out of range': [
    'received_time_ms: 9223372036854775808',
    'line 1, column 19: expected an int64 (-9223372036854775808 to 9223372036854775807), got a number out of its range',
  ],
  'a malformed number': ['timeout_ms: 08', 'line 1, column 13: malformed number'],
  'an unknown enum value': [
    'deploy { mode: MODE_RELACE }',
    'line 1, column 16: expected a value of enum Mode, got "MODE_RELACE"; did you mean "MODE_REPLACE"?',
  ],
  'a bad boolean': ['deploy { dry_run: yes }', 'line 1, column 19: expected true or false, got "yes"'],
  'an open string': ['account: "a', 'line 1, column 10: this string does not end'],
  'a string over two lines': ['account: "a\nb"', 'line 1, column 12: a string must end on its line'],
  'an unknown escape': ['account: "ä\\q"', 'line 1, column 12: unknown escape sequence'],
  'an octal escape above 377': ['account: "\\400"', 'line 1, column 11: an octal escape is \\377 at most'],
  'half a surrogate pair': ['account: "\\ud83d"', 'line 1, column 11: not a Unicode character'],
  'half a raw surrogate pair': ['account: "\ud83d"', 'line 1, column 11: half of a surrogate pair'],
  'invalid UTF-8': ['account: "\\377"', 'line 1, column 10: this string is not valid UTF-8'],
  'a field twice': ['id: "a" id: "b"', 'line 1, column 9: "id" is given twice'],
  'two of a oneof': ['get {} list {}', 'line 1, column 8: "list" and "get" exclude each other (oneof request)'],
  'two separators': ['id: "a";;', 'line 1, column 9: expected a field name of ops.Operation, got ";"'],
  'an extension': ['[a.b]: 1', 'line 1, column 1: ops.Operation has no extension "a.b"'],
  'a foreign character': ['é: 1', 'line 1, column 1: unexpected "U+00E9"'],
  'a number that is no field number': ['0: 1', 'line 1, column 1: expected a field number, got "0"'],
  'a known number with another type': ['2: 5', 'line 1, column 4: expected a value of "account", got "5"'],
  'a known number with too many bits': [
    '6: 18446744073709551616',
    'line 1, column 4: expected a number of 32 or 64 bits, got "18446744073709551616"',
  ],
  'a known number with a broken value': [
    '16: "\\377"',
    'line 1, column 5: this does not hold a valid value of the field with that number',
  ],
};

for (const [name, [text, message]] of Object.entries(refused)) {
  test(`refuses ${name}`, async (t) => {
    const [, line, column] = /line (\d+), column (\d+)/.exec(message) ?? [];
    const error = t.throws(() => parseText(OperationSchema, text)) as unknown as GatewayError;
    t.equal(error.message, `text format, ${message}`);
    t.match(error, { code: 'invalid-argument', details: { line: Number(line), column: Number(column) } });
  });
}

test('keeps the content of strings out of errors', async (t) => {
  t.throws(() => parseText(OperationSchema, 'timeout_ms: "password"'), { message: /^((?!password).)*$/ });
});
