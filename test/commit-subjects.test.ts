/** What the check of commit subjects finds, in real repositories. */

import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { subjectProblems } from './commit-subjects.js';

const just = 'x'.repeat(72);
const long = 'y'.repeat(73);
const skip = spawnSync('git', ['--version']).status === 0 ? false : 'git is not installed';

function git(directory: string, ...args: string[]): void {
  const author = ['-c', 'user.name=Test', '-c', 'user.email=test@example.com', '-c', 'commit.gpgsign=false'];
  execFileSync('git', [...author, ...args], { cwd: directory, stdio: 'ignore' });
}

/** A repository with these commits, oldest first. */
function repository(t: Test, subjects: readonly string[]): string {
  const directory = t.testdir();
  git(directory, 'init');
  for (const subject of subjects) git(directory, 'commit', '--allow-empty', `--message=${subject}`);
  return directory;
}

test('a subject of 73 characters is refused, and named; one of 72 is not', { skip }, async (t) => {
  const directory = repository(t, [just, long]);
  t.match(subjectProblems(directory), [/^[0-9a-f]{12}: the subject has 73 characters, 72 at most: y+$/u]);
});

test('characters are counted, not bytes', { skip }, async (t) => {
  t.same(subjectProblems(repository(t, ['→'.repeat(72)])), []);
});

test('what git writes itself may be longer', { skip }, async (t) => {
  t.same(subjectProblems(repository(t, [`Merge branch '${long}'`, `Revert "${just}"`])), []);
});

test('commits before the last tag do not count', { skip }, async (t) => {
  const directory = repository(t, [long]);
  git(directory, 'tag', 'v1.0.0');
  git(directory, 'commit', '--allow-empty', '--message=Short');
  t.same(subjectProblems(directory), []);
  git(directory, 'commit', '--allow-empty', `--message=${long}`);
  t.equal(subjectProblems(directory).length, 1);
});

test('without a tag the newest 30 count', { skip }, async (t) => {
  const directory = repository(t, [long, ...Array.from({ length: 29 }, (_, index) => `Commit ${index}`)]);
  t.equal(subjectProblems(directory).length, 1);
  git(directory, 'commit', '--allow-empty', '--message=One more');
  t.same(subjectProblems(directory), []);
});

test('a shallow clone is looked at as far as it goes', { skip }, async (t) => {
  const origin = repository(t, [long, 'Short']);
  const clone = join(origin, 'clone');
  git(origin, 'clone', '--depth=1', `file://${origin}`, clone);
  t.same(subjectProblems(clone), []);
  git(clone, 'commit', '--allow-empty', `--message=${long}`);
  t.equal(subjectProblems(clone).length, 1);
});

test(
  'without commits, without a repository of its own or without git there is nothing to look at',
  { skip },
  async (t) => {
    t.same(subjectProblems(repository(t, [])), []);
    const outer = repository(t, [long]);
    git(outer, 'init', 'inner');
    t.same(subjectProblems(join(outer, 'inner')), [], 'no commits');
    const { PATH } = process.env;
    t.teardown(() => {
      process.env['PATH'] = PATH;
    });
    t.equal(subjectProblems(outer).length, 1);
    process.env['PATH'] = '/nowhere';
    t.same(subjectProblems(outer), [], 'no git');
    t.same(subjectProblems(join(outer, 'none')), [], 'no repository');
  },
);
