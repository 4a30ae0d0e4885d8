/**
 * The credentials of the client commands for the gateway: a token, a certificate. Never a token on the command line.
 */

import { readFileSync } from 'node:fs';
import { UsageError } from '../command-line/usage-error.js';
import { messageOf } from '../core/errors.js';

/** Environment variables of the client commands, which are not settings of a replica. */
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

/** The file with the token. An empty variable counts as unset. */
export function tokenFileOf(
  { 'token-file': named }: CredentialFlags,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  return named ?? (environment[tokenFileVariable] || undefined);
}

/** @throws UsageError naming the flag whose file cannot be read, or that is missing beside another one */
export function readCredentials(
  flags: CredentialFlags,
  environment: Readonly<Record<string, string | undefined>>,
): ClientCredentials {
  const { 'token-file': named, cacert, cert, key } = flags;
  const read = (name: string, path: string | undefined): string | undefined => {
    if (path === undefined) return undefined;
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw new UsageError(`${name}: ${messageOf(error)}`);
    }
  };
  const written = read(named === undefined ? tokenFileVariable : '--token-file', tokenFileOf(flags, environment));
  const token = (written ?? (environment[tokenVariable] || undefined))?.trim();
  if (token !== undefined && !/^[\w.~+/=-]+$/u.test(token))
    throw new UsageError('the token must be one word of letters, digits and . ~ + / = - (RFC 6750)');
  if ((cert === undefined) !== (key === undefined)) throw new UsageError('give both --cert and --key, or neither');
  return { token, ca: read('--cacert', cacert), cert: read('--cert', cert), key: read('--key', key) };
}
