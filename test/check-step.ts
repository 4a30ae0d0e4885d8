/** What the steps of `npm run check` that are scripts of ours have in common: they print sentences, and fail if there is one. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { repositoryPaths } from './signposts.js';

/** The project's directory, with `/` at the end. */
export const project = fileURLToPath(new URL('../', import.meta.url));

/** Runs the step if its module is what Node.js was started with; a test only imports it. @param url its `import.meta.url` */
export function runStep(url: string, problems: () => readonly string[]): void {
  if (process.argv[1] !== fileURLToPath(url)) return;
  const found = problems();
  for (const problem of found) process.stdout.write(`${problem}\n`);
  process.exitCode = found.length === 0 ? 0 : 1;
}

/** The files of src/ whose path `wanted` describes, by path from the project's directory. */
export function sources(wanted: RegExp): ReadonlyMap<string, string> {
  const paths = repositoryPaths(`${project}src`, 'src/').filter((path) => wanted.test(path));
  return new Map(paths.map((path) => [path, readFileSync(project + path, 'utf8')]));
}
