/** schemathesis, a fuzzer of HTTP APIs by their OpenAPI document, installed once from PyPI into a cache outside the tree. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const version = '4.32.5';
const installTimeoutMs = 90_000;

export interface Outcome {
  readonly code: number;
  readonly output: string;
}

/** A command line of schemathesis. */
export type Schemathesis = (...args: string[]) => Promise<Outcome>;

/** @returns why it is not to be had, where Python or PyPI is out of reach */
export async function schemathesis(): Promise<Schemathesis | string> {
  const cache = join(homedir(), '.cache', 'agent-gateway-tests');
  const directory = join(cache, `schemathesis-${version}`);
  const python = join(directory, 'bin', 'python');
  const complete = join(directory, 'complete');
  if (!existsSync(complete)) {
    try {
      await mkdir(cache, { recursive: true });
      await rm(directory, { recursive: true, force: true });
      await run('python3', ['-m', 'venv', directory], { timeout: installTimeoutMs });
      const install = ['-m', 'pip', 'install', '--quiet', '--retries=1', '--timeout=10', `schemathesis==${version}`];
      await run(python, install, { timeout: installTimeoutMs });
      // Only a whole installation is used again.
      await mkdir(`${complete}.new`);
      await rename(`${complete}.new`, complete);
    } catch (error) {
      const lines = (error instanceof Error ? error.message : String(error)).trim().split('\n');
      return `schemathesis ${version} cannot be installed from PyPI: ${lines.at(-1) ?? ''}`;
    }
  }
  return async (...args) => {
    try {
      const options = { cwd: directory, timeout: 90_000, maxBuffer: 64 << 20 };
      const { stdout } = await run(python, ['-m', 'schemathesis.cli', ...args], options);
      return { code: 0, output: stdout };
    } catch (error) {
      const { code, stdout = '', message } = error as Error & { readonly code?: number; readonly stdout?: string };
      return { code: typeof code === 'number' ? code : -1, output: stdout === '' ? message : stdout };
    }
  };
}
