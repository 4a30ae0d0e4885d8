/** Programs that a package registry has, fetched once into a cache outside the tree. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { progress } from './progress.js';

const run = promisify(execFile);
const timeout = 100_000;

/** Runs a command in the directory that is being filled; gives standard output. */
export type Run = (program: string, ...args: string[]) => Promise<string>;

/**
 * @param name of the directory in the cache, with the version
 * @param fill fetches into the empty directory `temporary`, by `run`, and names what is to be kept
 * @returns the directory
 * @throws Error when it cannot be fetched
 */
export async function cachedDownload(
  name: string,
  fill: (run: Run, temporary: string) => Promise<string>,
): Promise<string> {
  const cache = join(homedir(), '.cache', 'agent-gateway-tests');
  const directory = join(cache, name);
  if (existsSync(directory)) return directory;
  await mkdir(cache, { recursive: true });
  const temporary = await mkdtemp(join(cache, `${name}-`));
  try {
    const inTemporary: Run = async (program, ...args) => (await run(program, args, { cwd: temporary, timeout })).stdout;
    const kept = await progress(`fetching ${name}, once`, () => fill(inTemporary, temporary));
    // Several test files may do this at once: only one of them wins the last step.
    await rename(kept, directory).catch((error: unknown) => {
      if (!existsSync(directory)) throw error;
    });
    return directory;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
