/** Text format over random messages and random texts. */
import { isDeepStrictEqual } from 'node:util';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { EmptySchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { test } from 'tap';
import { GatewayError } from '../../src/core/errors.js';
import { formatText, parseText } from '../../src/protocol/text-format.js';
import { arbitraryMessage } from './corpus/arbitrary.js';
import { everything } from './corpus/cases.js';
import { EverythingSchema, type Everything } from './corpus/corpus_pb.js';

const message = arbitraryMessage(EverythingSchema, 2, true);

/** Fails on anything but a message or an invalid-argument that names a place in the text. */
function parseOrRefuse(text: string): void {
  try {
    parseText(EverythingSchema, text);
  } catch (thrown) {
    if (!(thrown instanceof GatewayError) || thrown.code !== 'invalid-argument') throw thrown;
    const [, line, column] = /^text format, line (\d+), column (\d+): /.exec(thrown.message) ?? [];
    const atLine = text.split('\n')[Number(line) - 1];
    if (atLine === undefined || Number(column) < 1 || Number(column) > atLine.length + 1) throw thrown;
  }
}

const plain = (value: Everything): Everything => fromBinary(EverythingSchema, toBinary(EverythingSchema, value));

test('what is printed is read as the same message', async () => {
  fc.assert(
    fc.property(message, (value) =>
      isDeepStrictEqual(plain(parseText(EverythingSchema, formatText(EverythingSchema, value))), plain(value)),
    ),
    { numRuns: 200, examples: everything.map((value) => [value]) },
  );
});

test('unknown fields that are printed are read as the same bytes', async () => {
  fc.assert(
    fc.property(message, (value) => {
      const sent = toBinary(EverythingSchema, value);
      const text = formatText(EmptySchema, fromBinary(EmptySchema, sent), { unknownFields: true });
      return Buffer.from(toBinary(EmptySchema, parseText(EmptySchema, text))).equals(sent);
    }),
    { numRuns: 200 },
  );
});

const pieces = [
  ...EverythingSchema.fields.map(({ name }) => name),
  ...'{}<>[]:,;-"\'\\#\n \t.0123456789'.split(''),
  ...['999', '15', '0x0000002a', '0x', '1e5', '1.5', '1e', 'inf', '-nan', 'true', 'COLOR_RED', 'key', 'value'],
  ...[
    '"a"',
    "'\\001'",
    '"\\',
    '\\u',
    '\\ud83d\\ude00',
    '\ud83d',
    'ä',
    '😀',
    '\0',
    'nested {',
    'UNKNOWN_ENUM_VALUE_Color_',
    '[a/b.C]',
  ],
];

test('random texts give a message or an error with a place', async () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 40 }), (parts) => parseOrRefuse(parts.join(''))),
    { numRuns: 3000 },
  );
});

test('mutated texts give a message or an error with a place', async () => {
  const mutation = fc.tuple(fc.nat(), fc.nat({ max: 5 }), fc.constantFrom('', ...pieces));
  fc.assert(
    fc.property(message, fc.array(mutation, { minLength: 1, maxLength: 4 }), (value, mutations) => {
      let text = formatText(EverythingSchema, value);
      for (const [where, removed, piece] of mutations) {
        const at = where % (text.length + 1);
        text = text.slice(0, at) + piece + text.slice(at + removed);
      }
      parseOrRefuse(text);
    }),
    { numRuns: 500 },
  );
});

const size = 1_000_000;
const large: Record<string, string> = {
  'a name': 'a'.repeat(size),
  digits: `an_int32: ${'9'.repeat(size)}`,
  'a fraction': `a_double: 1.${'9'.repeat(size)}x`,
  'a string': `a_string: "${'a'.repeat(size)}"`,
  escapes: `some_bytes: "${'\\001'.repeat(size / 4)}"`,
  backslashes: `some_bytes: "${'\\'.repeat(size)}`,
  'adjacent strings': `a_string: ${'"a"'.repeat(size / 3)}`,
  'list items': `int32s: [${'1,'.repeat(size / 2)}1]`,
  fields: 'int32s: 1\n'.repeat(size / 10),
  'map entries': Array.from({ length: size / 30 }, (_, i) => `by_int64 {key: ${i}}`).join('\n'),
  'a comment': `#${'x'.repeat(size)}`,
  'line ends': '\n'.repeat(size),
  'a name in brackets': `any { [${'a/'.repeat(size / 2)}`,
  'spaces in brackets': `any { [${' '.repeat(size)}`,
  'open messages': 'nested{'.repeat(size / 7),
  'unknown fields': '999: 1 '.repeat(size / 7),
};

for (const [name, text] of Object.entries(large)) {
  test(`takes linear time over a megabyte of ${name}`, async (t) => {
    const start = process.cpuUsage();
    parseOrRefuse(text);
    const used = process.cpuUsage(start);
    // Quadratic would be minutes.
    t.ok(used.user + used.system < 3_000_000, `${(used.user + used.system) / 1000} ms`);
  });
}

test('an empty message is an empty text', async (t) => {
  t.equal(formatText(EverythingSchema, create(EverythingSchema)), '');
});
