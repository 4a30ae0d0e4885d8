/** Texts in configuration files that stand for something else: files, secrets and variables. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../core/errors.js';
import { isSecretReference } from '../core/secret-reference.js';

/**
 * The path of a file as Spring writes resources: `file:/certs/x`, `file:///certs/x` and `/certs/x` are the same one.
 * @returns an Error in words for what is no file: `classpath:x`, `https://host/x`, `file://host/x`
 */
export function pathFrom(text: string): string | Error {
  const [, scheme = '', rest = ''] = /^([a-z][a-z\d+.-]+):(.*)$/isu.exec(text) ?? [];
  if (scheme === '') return text;
  if (scheme.toLowerCase() !== 'file') {
    const what = scheme.toLowerCase() === 'classpath' ? 'classpath: is not supported' : `${scheme}: is not supported`;
    return new Error(`expected the path of a file, such as /certs/tls.crt; ${what}`);
  }
  // Relative ones are no URLs: Spring takes them as they stand.
  if (!rest.startsWith('/')) return rest;
  try {
    return fileURLToPath(text);
  } catch {
    return new Error('expected file:/PATH, a file on this machine, without a host');
  }
}

/**
 * What a secret says: `file:/PATH` is what stands in the file, without white space around it.
 * @returns an Error in words, without anything of a file's content
 */
export function secretFrom(text: string): string | Error {
  if (!/^file:/iu.test(text)) return text;
  const path = pathFrom(text);
  if (path instanceof Error) return path;
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : `: ${messageOf(error)}`;
    return new Error(`the file that it names cannot be read${code}`);
  }
}

/**
 * Why a value cannot be used as it is written: it refers to something that is not resolved here.
 * @param kind what the setting takes, which decides what to write in its place
 * @param file whether it stands in a file, where `${...}` is a placeholder of Spring; a variable may have it in a password
 * @returns undefined where the value, and every text in it, says what it means
 */
export function unresolved(value: unknown, kind: 'secret' | 'path' | 'text', file: boolean): string | undefined {
  if (typeof value === 'object' && value !== null) {
    for (const item of Object.values(value)) {
      const problem = unresolved(item, kind, file);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }
  if (typeof value !== 'string') return undefined;
  if (file && value.includes('${')) {
    return 'Spring placeholders (${...}) are not resolved here; write the value, or set an environment variable';
  }
  return isSecretReference(value)
    ? `Spinnaker's encrypted secrets are not decrypted here; ${instead[kind]}`
    : undefined;
}

const instead = {
  secret: 'mount the secret as a file and write file:/PATH',
  path: 'mount the secret as a file and write its path',
  text: 'write the value itself',
};
