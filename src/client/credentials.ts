/** What the terminal's commands show to the gateway: a token, a certificate. Never a token on the command line. */

import { readFileSync } from 'node:fs';
import { messageOf } from '../core/errors.js';
import { usageError } from './exit-code.js';

/** Variables of the terminal's commands, which are no settings of a replica. */
export const tokenVariable = 'AGENT_GATEWAY_TOKEN';
export const tokenFileVariable = 'AGENT_GATEWAY_TOKEN_FILE';

export interface ClientCredentials {
  readonly token: string | undefined;
  /** PEM. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** @throws ClientError naming the flag whose file cannot be read, or that is missing beside another one */
export function readCredentials(
  flag: (name: string) => string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): ClientCredentials {
  const read = (name: string, path: string | undefined): string | undefined => {
    if (path === undefined) return undefined;
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw usageError(`${name}: ${messageOf(error)}`);
    }
  };
  const named = flag('token-file');
  const file = named ?? environment[tokenFileVariable];
  const written = read(named === undefined ? tokenFileVariable : '--token-file', file) ?? environment[tokenVariable];
  const token = written?.trim();
  if (token !== undefined && !/^[\w.~+/=-]+$/u.test(token))
    throw usageError('the token must be one word of letters, digits and . ~ + / = - (RFC 6750)');
  const [cert, key] = [flag('cert'), flag('key')];
  if ((cert === undefined) !== (key === undefined)) throw usageError('--cert and --key belong together');
  return { token, ca: read('--cacert', flag('cacert')), cert: read('--cert', cert), key: read('--key', key) };
}
