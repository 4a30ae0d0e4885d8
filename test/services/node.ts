/** Other versions of Node.js than the one that runs here, as the npm registry has them. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedDownload } from './downloads.js';

/** `lts`: the long-term support release that the image has, on which a part of the suite runs in `.ci/run`. */
export const longTermNode = '24.22.3';

/**
 * @param wanted a version: exact, or the beginning of one (`24`): the newest such one at the time of the first download; or `lts`
 * @returns the directory with the program `node`, for the PATH
 * @throws Error in words
 */
export async function nodeDirectory(wanted: string): Promise<string> {
  const version = wanted === 'lts' ? longTermNode : wanted;
  if (!/^\d+(\.\d+){0,2}$/u.test(version))
    throw new Error(`--node takes a version of Node.js such as ${longTermNode} or 24, or lts, not "${version}"`);
  const name = `node-${process.platform}-${process.arch}`;
  try {
    return await cachedDownload(`node-${version}`, async (run, temporary) => {
      const archive = (await run('npm', 'pack', '--silent', `${name}@${version}`)).trim();
      await mkdir(join(temporary, 'node'));
      await run(
        'tar',
        '--extract',
        '--file',
        archive,
        '--directory',
        'node',
        '--strip-components=2',
        'package/bin/node',
      );
      return join(temporary, 'node');
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Node.js ${version} cannot be had from the npm registry: ${reason}`, { cause });
  }
}
