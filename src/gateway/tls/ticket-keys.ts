/**
 * Keys of TLS session tickets (RFC 5077; RFC 8446, 2.2) that all instances share, so that a client which comes back to another
 * one resumes its session. They are derived from a secret that the instances share anyway, and from the time.
 */

import { createHash } from 'node:crypto';
import { deriveKey } from '../../core/shared-secrets.js';
import type { TlsMaterial } from './material.js';

/** How long a key is used; sessions are resumed for five minutes only (the default of Node.js), so few of them meet a change. */
const periodMs = 4 * 3_600_000;
/** 16 bytes each for the name, the key of AES-128-CBC and that of HMAC-SHA-256 (SSL_CTX_set_tlsext_ticket_keys). */
const keyBytes = 48;

export interface TicketKeysOptions {
  readonly secret: () => Uint8Array;
  /** Wall clock, Unix ms. */
  readonly now: () => number;
}

/**
 * The keys of this moment.
 * @param port a session is resumed only at the port where it began: the other one may ask clients for more
 */
export function ticketKeys(
  { secret, now }: TicketKeysOptions,
  port: string,
  { ca, crl, requestCert, rejectUnauthorized }: TlsMaterial,
): Buffer {
  const period = Math.floor(now() / periodMs);
  // A resumed session shows no certificate: when it would be judged by other files, the client has to show it anew.
  const trust = createHash('sha256');
  for (const part of [ca ?? '', crl ?? '']) trust.update(createHash('sha256').update(part).digest());
  trust.update(`${String(requestCert)} ${String(rejectUnauthorized)}`);
  const purpose = `agent-gateway: TLS tickets: ${port} ${String(period)} ${trust.digest('hex')}`;
  return deriveKey(secret(), purpose, keyBytes);
}
