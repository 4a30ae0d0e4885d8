/**
 * Secrets that every instance reads from a file. Each purpose has keys of its own, derived from them, so that what is made
 * for one purpose proves nothing for another.
 */

import { hkdfSync } from 'node:crypto';

/** The first one is used for what is made, all of them for what is checked, so that they can be replaced without a gap. */
export type SharedSecrets = readonly Uint8Array[];

const secretLength = 32;

/**
 * One secret a line.
 * @throws Error in words
 */
export function parseSharedSecrets(text: string): SharedSecrets {
  const secrets = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (secrets.length === 0) throw new Error('expected a secret on each line, found none (openssl rand -base64 48)');
  const short = secrets.findIndex((secret) => secret.length < secretLength);
  if (short !== -1)
    throw new Error(
      `line ${String(short + 1)}: expected at least ${String(secretLength)} characters (openssl rand -base64 48)`,
    );
  return secrets.map((secret) => Buffer.from(secret));
}

/** HKDF with SHA-256 (RFC 5869). @param purpose no two uses of keys have the same */
export function deriveKey(secret: Uint8Array, purpose: string, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', purpose, bytes));
}
