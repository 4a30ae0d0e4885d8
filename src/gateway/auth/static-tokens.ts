/** Tokens from a file that holds only their digests, so that a reader of the file cannot use them. */

import { createHash } from 'node:crypto';
import Type from 'typebox';
import type { Identity } from './identity.js';
import { readYamlList } from './yaml-list.js';

const entrySchema = Type.Object(
  {
    name: Type.String({ pattern: '^[\\w.:@/+-]{1,253}$' }),
    sha256: Type.String({ pattern: '^[0-9a-fA-F]{64}$' }),
    expires: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);

const expected = {
  name: 'expected 1 to 253 printable characters without spaces',
  sha256: 'expected the SHA-256 digest of the token as 64 hexadecimal digits (printf %s "$TOKEN" | sha256sum)',
  expires: 'expected a time such as 2027-01-31T00:00:00Z',
};

/** By digest. */
export type StaticTokens = ReadonlyMap<string, Identity>;

/**
 * Reads `tokens: [{name, sha256, expires?}]` (YAML). Two entries of one name are one identity: that is how a token is
 * replaced without a gap.
 * @throws Error that names the entry and the expected value
 */
export function parseStaticTokens(text: string): StaticTokens {
  const tokens = new Map<string, Identity>();
  readYamlList(text, 'tokens', entrySchema, expected).forEach(({ name, sha256, expires }, index) => {
    const digest = sha256.toLowerCase();
    const expiresAt = expires === undefined ? undefined : Date.parse(expires);
    if (Number.isNaN(expiresAt)) throw new Error(`tokens[${String(index)}].expires: ${expected.expires}`);
    if (tokens.has(digest)) throw new Error(`tokens[${String(index)}].sha256: this digest appears twice`);
    tokens.set(digest, { name: `token:${name}`, token: name, ...(expiresAt === undefined ? {} : { expiresAt }) });
  });
  return tokens;
}

/** Looked up by digest, so that the time of a look-up reveals nothing about the token. */
export function findStaticToken(tokens: StaticTokens, token: string): Identity | undefined {
  return tokens.get(createHash('sha256').update(token).digest('hex'));
}
