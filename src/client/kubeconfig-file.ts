/** Changes a kubeconfig on disk as kubectl does: under its lock, at once, readable by its user only. */

import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { messageOf } from '../core/errors.js';
import { EntryConflict, withNamedEntries, type NamedEntries } from '../documents/named-entries.js';
import { YamlError } from '../documents/yaml.js';
import { ClientError, exitCodes } from './exit-code.js';

/** The file that kubectl changes: the first of $KUBECONFIG, else ~/.kube/config. */
export function defaultKubeconfig(environment: Readonly<Record<string, string | undefined>>): string {
  const [first] = (environment['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '');
  return first ?? join(environment['HOME'] ?? homedir(), '.kube', 'config');
}

/**
 * Adds or replaces entries; on any failure the file is as it was.
 * @throws ClientError that names the file
 */
export async function mergeKubeconfig(named: string, entries: NamedEntries): Promise<void> {
  try {
    await mkdir(dirname(named), { recursive: true, mode: 0o700 });
    // A link stays one: the file behind it is changed.
    const path = await realpath(named).catch(() => named);
    const lock = `${path}.lock`;
    await lockFile(lock);
    try {
      const text = await readFile(path, 'utf8').catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
        throw error;
      });
      await replace(path, withNamedEntries(text, entries));
    } finally {
      await rm(lock, { force: true });
    }
  } catch (error) {
    throw failure(named, error);
  }
}

async function lockFile(lock: string): Promise<void> {
  const handle = await open(lock, 'wx', 0o600).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const message = `another program is changing it; if none is running, delete ${lock}`;
    throw new ClientError(exitCodes.unavailable, message);
  });
  await handle.close();
}

async function replace(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  try {
    await writeFile(temporary, text, { mode: 0o600, flag: 'wx', flush: true });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function failure(path: string, error: unknown): ClientError {
  if (error instanceof EntryConflict) {
    const { list, entryName } = error;
    const what = `the ${list.replace(/s$/u, '')} "${entryName}", which agent-gateway did not write`;
    const message = `${path} has ${what}; nothing was changed. Rename or delete it, or give another file (--kubeconfig FILE)`;
    return new ClientError(exitCodes.refused, message);
  }
  const problem = error instanceof YamlError ? `is not a kubeconfig: ${error.message}` : `: ${messageOf(error)}`;
  const code = error instanceof ClientError ? error.exitCode : exitCodes.refused;
  return new ClientError(code, `${path}${problem.startsWith(':') ? '' : ' '}${problem}`);
}
