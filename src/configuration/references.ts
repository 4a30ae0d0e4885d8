/** References in configuration files: to files, secrets and variables. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../core/errors.js';
import { isSecretReference } from '../core/secret-reference.js';

/**
 * The path of a file as Spring writes resources: `file:/certs/x`, `file:///certs/x` and `/certs/x` are the same one.
 * @returns an Error in words for other locations: `classpath:x`, `https://host/x`, `file://host/x`
 */
export function pathFrom(text: string): string | Error {
  const [, scheme = '', rest = ''] = /^([a-z][a-z\d+.-]+):(.*)$/isu.exec(text) ?? [];
  if (scheme === '') return text;
  if (scheme.toLowerCase() !== 'file') {
    const what = scheme.toLowerCase() === 'classpath' ? 'classpath: is not supported' : `${scheme}: is not supported`;
    return new Error(`expected the path of a file, such as /certs/tls.crt; ${what}`);
  }
  // Relative paths are not URLs: Spring uses them as written.
  if (!rest.startsWith('/')) return rest;
  try {
    return fileURLToPath(text);
  } catch {
    return new Error('expected file:/PATH, a file on this machine, without a host');
  }
}

/**
 * The value of a secret: `file:/PATH` is the content of the file, without surrounding white space.
 * @returns an Error in words, without any of the file's content
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
 * @param kind the kind of value, which decides the advice
 * @param file whether it is in a file, in which `${...}` is a Spring placeholder; in a variable it may be part of a
 *   password
 * @returns undefined if the value, and every text in it, can be used as written
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
