/** What `npm run check` asks of commits: subjects that every tool shows whole (CONTRIBUTING.md, Commits). */

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { project, runStep } from './check-step.js';

const longest = 72;
/** Without a tag, the newest so many. */
const newest = 30;
/** Subjects that git or a forge writes. */
const made = /^(Merge|Revert) /u;

/**
 * Commits since the last tag, else the newest 30; as many as there are of a shallow clone, and none where there is no git.
 * @param directory of the project; a repository around it is not its own
 * @returns a sentence for each subject that is too long
 */
export function subjectProblems(directory: string): string[] {
  if (!existsSync(join(directory, '.git'))) return [];
  const tag = git(directory, ['describe', '--tags', '--abbrev=0'])?.trim();
  const range = tag === undefined ? [`--max-count=${newest}`] : [`${tag}..HEAD`];
  const log = git(directory, ['log', '--format=%H %s', ...range]) ?? '';
  return log.split('\n').flatMap((line) => {
    const [, hash = '', subject = ''] = /^(\w+) (.*)$/u.exec(line) ?? [];
    const { length } = Array.from(subject);
    if (length <= longest || made.test(subject)) return [];
    return [`${hash.slice(0, 12)}: the subject has ${length} characters, ${longest} at most: ${subject}`];
  });
}

/** What git prints; undefined if it is not installed, or if it has nothing to tell. */
function git(directory: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync('git', args, { cwd: directory, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

runStep(import.meta.url, () => subjectProblems(project));
