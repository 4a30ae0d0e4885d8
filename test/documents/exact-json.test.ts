/** JSON of other people: what is read and written again is the same text, whatever numbers it has. */

import fc from 'fast-check';
import { test } from 'tap';
import {
  ExactNumber,
  isJsonObject,
  parseJson,
  quoteLargeIntegers,
  stringifyJson,
} from '../../src/documents/exact-json.js';

const numbers = [
  ...['0', '-0', '1', '-1', '1.0', '1.50', '0.1', '1e400', '-1E+2', '1e3', '0.1000000000000000055511151231257827'],
  ...['9007199254740991', '9007199254740992', '9007199254740993', '-9007199254740993', '9223372036854775807'],
  ...['18446744073709551615', '123456789012345678901234567890', '2.718281828459045235360287471352662'],
];

test('numbers keep their text, wherever they stand', (t) => {
  for (const number of numbers) {
    for (const text of [
      number,
      `[${number}]`,
      `[1,${number},"x"]`,
      `{"a":${number}}`,
      `{"a":{"b":[{"c":${number}}]},"d":"${number}"}`,
    ])
      t.equal(stringifyJson(parseJson(text)), text);
    t.equal(
      stringifyJson(parseJson(` { "a" :\n\t${number} , "b" : [ ${number} ] } `)),
      `{"a":${number},"b":[${number}]}`,
    );
  }
  t.equal(stringifyJson(parseJson('{"a":9007199254740993}'), 2), '{\n  "a": 9007199254740993\n}');
  t.end();
});

test('numbers that a double holds are doubles', (t) => {
  t.strictSame(parseJson('{"a":[1,-2.5,9007199254740991],"b":1.0}'), {
    a: [1, -2.5, 9007199254740991],
    b: new ExactNumber('1.0'),
  });
  t.not(isJsonObject(parseJson('1.0')), true, 'an exact number is a leaf');
  t.equal(String(parseJson('1e400')), '1e400');
  t.end();
});

test('what JSON.parse() takes is taken, what it refuses is refused', (t) => {
  const json = fc.json({ maxDepth: 5 });
  const part = fc.constantFrom(
    ...numbers,
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"":',
    '01',
    '1.',
    '.5',
    '+1',
    '-',
    ' ',
    'nul',
  );
  const outcome = (parse: (text: string) => unknown, text: string): unknown => {
    try {
      return JSON.stringify(parse(text));
    } catch (error) {
      return (error as Error).name;
    }
  };
  const rounded = (text: string): unknown => JSON.parse(stringifyJson(parseJson(text))) as unknown;
  fc.assert(
    fc.property(
      fc.oneof(
        json,
        fc.array(part).map((parts) => parts.join('')),
      ),
      (text) => {
        t.equal(outcome(rounded, text), outcome(JSON.parse, text), text);
      },
    ),
    { numRuns: 2_000 },
  );
  t.end();
});

test('names and text are data', (t) => {
  const text = '{"__proto__":{"a":1.0},"constructor":1.0,"a":"1.0","b":"\\u0000\\"1.0","c":[9007199254740993]}';
  const value = parseJson(text) as object;
  t.equal(Object.getPrototypeOf(value), Object.prototype);
  t.equal(stringifyJson(value), text);
  t.strictSame(parseJson('{"a":1,"a":2.0}'), { a: new ExactNumber('2.0') }, 'the last one of a name, as everywhere');
  t.end();
});

test('for a parser that has doubles alone, integers that none holds are text', (t) => {
  const text = '{"a": 9007199254740993, "b": [-9007199254740993, 1.0, 1e3, 12, "9007199254740993"], "__proto__": 1.0}';
  t.equal(
    quoteLargeIntegers(text),
    '{"a":"9007199254740993","b":["-9007199254740993",1.0,1e3,12,"9007199254740993"],"__proto__":1.0}',
  );
  for (const same of ['{"a": 1 }', '{"a": 9007199254740993', `${'['.repeat(100_000)}9007199254740993`])
    t.equal(quoteLargeIntegers(same), same);
  t.end();
});
