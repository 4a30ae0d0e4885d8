/** What the check of file sizes finds. */

import { test } from 'tap';
import { sizeProblems } from './file-sizes.js';

const file = (lines: number, first = '/** A file. */'): string => `${first}\n${'x;\n'.repeat(lines - 1)}`;

test('a file of more than 400 lines is refused, unless its first lines say why', async (t) => {
  const problems = (source: string): string[] => sizeProblems(new Map([['src/a.ts', source], ...short]));
  const short = ['b', 'c'].map((name): [string, string] => [`src/${name}.ts`, file(1)]);
  t.same(problems(file(400)), []);
  t.match(problems(file(401)), [/^src\/a\.ts: 401 lines/u]);
  t.same(problems(file(401, '/* eslint-disable max-lines -- one table */')), []);
  t.equal(problems(file(401, '/* eslint-disable max-lines */')).length, 1, 'without a reason');
  t.equal(problems(`${file(300)}/* eslint-disable max-lines -- too late */\n${file(200)}`).length, 1);
});

test('half of the files have at most 100 lines', async (t) => {
  const problems = (...lines: number[]): string[] =>
    sizeProblems(new Map(lines.map((count, index) => [`src/${index}.ts`, file(count)])));
  t.same(problems(300, 100, 1), []);
  t.match(problems(300, 101, 1), [/^half of the files have 101 lines or more/u]);
  t.same(problems(), []);
});

test('generated files do not count', async (t) => {
  t.same(sizeProblems(new Map([['src/protocol/generated/a_pb.ts', file(500)]])), []);
});
