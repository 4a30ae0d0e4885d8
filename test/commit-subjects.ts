/** What `npm run check` asks of commits: subjects that every tool shows whole (CONTRIBUTING.md, Commits). */

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const longest = 72;
/** Without a tag, the newest so many. */
const newest = 30;
/** Subjects that git or a forge writes. */
const made = /^(Merge|Revert) /u;
/** Made before this was checked, and merged into other branches since. */
const earlier = ['0d1f2a784cac', '59c62ac7676b'];

/**
 * Commits since the last tag, else the newest 30; as many as there are of a shallow clone, and none where there is no git.
 * @param project its directory; a repository around it is not its own
 * @returns a sentence for each subject that is too long
 */
export function subjectProblems(project: string): string[] {
  if (!existsSync(join(project, '.git'))) return [];
  const tag = git(project, ['describe', '--tags', '--abbrev=0'])?.trim();
  const range = tag === undefined ? [`--max-count=${newest}`] : [`${tag}..HEAD`];
  const log = git(project, ['log', '--format=%H %s', ...range]) ?? '';
  return log.split('\n').flatMap((line) => {
    const [, hash = '', subject = ''] = /^(\w+) (.*)$/u.exec(line) ?? [];
    const { length } = Array.from(subject);
    if (length <= longest || made.test(subject) || earlier.some((known) => hash.startsWith(known))) return [];
    return [`${hash.slice(0, 12)}: the subject has ${length} characters, ${longest} at most: ${subject}`];
  });
}

/** What git prints; undefined if it is not installed, or if it has nothing to tell. */
function git(project: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync('git', args, { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problems = subjectProblems(fileURLToPath(new URL('../', import.meta.url)));
  for (const problem of problems) process.stdout.write(`${problem}\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
