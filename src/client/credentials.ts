/** What the terminal's commands show to the gateway: a token, a certificate. Never a token on the command line. */

import { readFileSync } from 'node:fs';
import { UsageError } from '../command-line/usage-error.js';
import { messageOf } from '../core/errors.js';

/** Variables of the terminal's commands, which are no settings of a replica. */
const tokenVariable = 'AGENT_GATEWAY_TOKEN';
const tokenFileVariable = 'AGENT_GATEWAY_TOKEN_FILE';

export interface ClientCredentials {
  readonly token: string | undefined;
  /** PEM. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** Names of files. */
export interface CredentialFlags {
  readonly 'token-file'?: string | undefined;
  readonly cacert?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** @throws UsageError naming the flag whose file cannot be read, or that is missing beside another one */
export function readCredentials(
  { 'token-file': named, cacert, cert, key }: CredentialFlags,
  environment: Readonly<Record<string, string | undefined>>,
): ClientCredentials {
  const read = (name: string, path: string | undefined): string | undefined => {
    if (path === undefined) return undefined;
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw new UsageError(`${name}: ${messageOf(error)}`);
    }
  };
  // An empty variable is none.
  const path = named ?? (environment[tokenFileVariable] || undefined);
  const written = read(named === undefined ? tokenFileVariable : '--token-file', path);
  const token = (written ?? (environment[tokenVariable] || undefined))?.trim();
  if (token !== undefined && !/^[\w.~+/=-]+$/u.test(token))
    throw new UsageError('the token must be one word of letters, digits and . ~ + / = - (RFC 6750)');
  if ((cert === undefined) !== (key === undefined)) throw new UsageError('give both --cert and --key, or neither');
  return { token, ca: read('--cacert', cacert), cert: read('--cert', cert), key: read('--key', key) };
}
