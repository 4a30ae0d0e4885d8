/**
 * A copy of the sources that a run's processes start from: edits of the tree do not reach a run that is under way, and
 * a fence can be removed from the copy to see whether the checker notices.
 */

import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('../..', import.meta.url));

/** A text of a source file and what stands in its place in the copy. */
export interface Patch {
  /** Relative to the project. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface Build {
  readonly directory: string;
  remove(): Promise<void>;
}

/**
 * @param source the project to copy; default: this one
 * @throws Error when the text of a patch is not in its file exactly once
 */
export async function copySources(patches: readonly Patch[] = [], source = project): Promise<Build> {
  // Below the project, so that packages are found; .cache is ignored by git and by the checks.
  const parent = join(project, '.cache', 'chaos');
  await mkdir(parent, { recursive: true });
  const directory = await mkdtemp(join(parent, 'build-'));
  const build = { directory, remove: () => rm(directory, { recursive: true, force: true }) };
  try {
    await fill(directory, source);
    for (const patch of patches) await apply(patch, directory);
  } catch (error) {
    await build.remove();
    throw error;
  }
  return build;
}

async function fill(directory: string, source: string): Promise<void> {
  for (const part of ['src', 'proto', 'package.json', 'tsconfig.json'])
    await cp(join(source, part), join(directory, part), { recursive: true });
  // The agents' process is this suite's own; it imports the agent from the copy.
  const chaos = dirname(fileURLToPath(import.meta.url));
  for (const part of ['agent-worker.ts', 'agent-api.ts', 'history.ts'])
    await cp(join(chaos, part), join(directory, 'test', 'chaos', part));
  await symlink(join(project, 'node_modules'), join(directory, 'node_modules'));
}

async function apply({ file, from, to }: Patch, directory: string): Promise<void> {
  const path = join(directory, file);
  const text = await readFile(path, 'utf8');
  const found = text.split(from).length - 1;
  if (found !== 1) throw new Error(`${file}: the text to replace is there ${found} times, expected once: ${from}`);
  await writeFile(
    path,
    text.replace(from, () => to),
  );
}
