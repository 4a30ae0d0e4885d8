/** `npm test -- --changed` runs what a change can break, and not much else. */

import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { changedFiles, explanation, nearestTests, sourceTree, testsOf, type SourceTree } from './changed.js';

/** A small repository, by file. */
const files: Readonly<Record<string, string>> = {
  'src/core/clock.ts': 'export type Time = number; export const now = () => 0;',
  'src/server.ts': "import { now } from './core/clock.js'; export const path = 'docs/guide.md'; now();",
  'src/run.ts': "await import('./server.js');",
  'src/page.html': '',
  'docs/guide.md': '',
  'docs/make.ts': "export { now } from '../src/core/clock.js';",
  'helm/chart/values.yaml': '',
  'package.json': '{}',
  'test/tap.ts': '',
  'test/start.ts': "export const main = new URL('../src/run.ts', import.meta.url);",
  'test/core/clock.test.ts': "import { test } from 'tap'; import { now } from '../../src/core/clock.js';",
  'test/types.test.ts':
    "import type { Time } from '../src/core/clock.js'; export type { Time } from '../src/core/clock.js';",
  'test/cluster.test.ts': "import { main } from './start.js';",
  'test/charts.test.ts': "const chart = 'chart'; read(`helm/${chart}/values.yaml`);",
  'test/guide.test.ts': "read('docs/guide.md'); /* docs/other.md */",
  'test/python/agent.py': '',
  'test/python/main.py': 'import agent',
  'test/python/agent.test.ts': "start(new URL('main.py', import.meta.url));",
  'test/signposts.test.ts': '',
};
const tree: SourceTree = {
  files: Object.keys(files),
  read: (file) => files[file] ?? '',
  aliases: new Map([['tap', ['./test/tap.ts']]]),
};

/** The tests that a change of this file selects, but for the one that reads all. */
function selected(file: string): readonly string[] {
  return testsOf([file], tree).flatMap(({ tests }) => tests.filter((path) => path !== 'test/signposts.test.ts'));
}

test('tests that import a changed file, directly or by others, the nearest first', (t) => {
  t.same(selected('src/core/clock.ts'), ['test/core/clock.test.ts', 'test/cluster.test.ts']);
  t.same(selected('src/server.ts'), ['test/cluster.test.ts'], 'one that starts the product as a process');
  t.same(selected('test/start.ts'), ['test/cluster.test.ts'], 'by a part of the tests');
  t.same(selected('test/tap.ts'), ['test/core/clock.test.ts'], 'by the name that stands for it');
  t.same(selected('test/types.test.ts'), ['test/types.test.ts'], 'itself');
  t.end();
});

test('an import of types alone breaks nothing when it runs', (t) => {
  t.notOk(selected('src/core/clock.ts').includes('test/types.test.ts'));
  t.end();
});

test('tests that read a changed page, chart or script by its path', (t) => {
  t.same(selected('docs/guide.md'), ['test/guide.test.ts'], 'what the product only tells of is not read by it');
  t.same(selected('docs/other.md'), [], 'nor is what a comment names');
  t.same(selected('helm/chart/values.yaml'), ['test/charts.test.ts'], 'in a folder that is named');
  t.same(selected('test/python/agent.py'), ['test/python/agent.test.ts'], 'by a script of the same folder');
  t.end();
});

test('what every file runs with selects all; the test that reads every file is always one of them', (t) => {
  const tests = tree.files.filter((file) => file.endsWith('.test.ts'));
  t.same(testsOf(['package.json'], tree), [{ file: 'package.json', tests }]);
  t.same(testsOf(['src/page.html'], tree), [{ file: 'src/page.html', tests: ['test/signposts.test.ts'] }]);
  t.end();
});

test('a file that was deleted selects those that name it still, and does not run itself', (t) => {
  const left = {
    ...tree,
    files: tree.files.filter((file) => file !== 'docs/guide.md' && file !== 'test/types.test.ts'),
  };
  const [guide, types] = testsOf(['docs/guide.md', 'test/types.test.ts'], left);
  t.same(guide?.tests, ['test/guide.test.ts', 'test/signposts.test.ts']);
  t.same(types?.tests, ['test/signposts.test.ts']);
  t.end();
});

test('the tests nearest to any change come first, each once, and a person is told why', (t) => {
  const changes = [
    { file: 'a', tests: ['1', '2', '3', '4'] },
    { file: 'b', tests: ['5', '1'] },
    { file: 'c', tests: [] },
  ];
  t.same(nearestTests(changes), ['1', '5', '2', '3', '4']);
  t.equal(
    explanation('abc', changes, 9),
    '3 files changed since abc; 5 of 9 test files can break by that, the nearest first\n  a: 1, 2, 3 and 1 more\n  b: 5, 1\n  c: none\n',
  );
  const many = Array.from({ length: 20 }, (_, index) => ({ file: `file-${String(index)}`, tests: [] }));
  t.match(explanation('abc', many, 9), /file-11: none\n {2}and 8 more files\n$/u);
  t.end();
});

test('what has changed: commits since the base, and what is not committed, deleted or not known to git', (t) => {
  const directory = t.testdir({ 'kept.ts': '', 'edited.ts': '', 'deleted.ts': '', 'on branch.ts': '' });
  const git = (...args: string[]): string =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], {
      cwd: directory,
      encoding: 'utf8',
    });
  git('init', '--quiet', '--initial-branch=main');
  git('add', 'kept.ts', 'edited.ts', 'deleted.ts');
  git('commit', '--quiet', '--message=Begin');
  const base = git('rev-parse', '--short', 'HEAD').trim();
  git('switch', '--quiet', '--create=branch');
  git('add', '.');
  git('commit', '--quiet', '--message=On the branch');
  writeFileSync(join(directory, 'edited.ts'), 'changed');
  writeFileSync(join(directory, 'untracked.ts'), '');
  rmSync(join(directory, 'deleted.ts'));
  t.same(changedFiles(undefined, directory), {
    base,
    files: ['deleted.ts', 'edited.ts', 'on branch.ts', 'untracked.ts'],
  });
  t.same(changedFiles('HEAD', directory).files, ['deleted.ts', 'edited.ts', 'untracked.ts']);
  t.throws(() => changedFiles('no-such-revision', directory), /does not know the revision no-such-revision/u);
  t.end();
});

test('this repository: a change of acceptance selects its own test first, and those of the cluster', (t) => {
  const [acceptance] = testsOf(['src/gateway/operations/acceptance.ts'], sourceTree());
  const tests = acceptance?.tests ?? [];
  t.ok(tests.slice(0, 10).includes('test/gateway/operations/acceptance.test.ts'));
  t.ok(tests.includes('test/cluster/routing.test.ts'));
  t.notOk(tests.includes('test/core/pending.test.ts'));
  t.end();
});
