/** Encrypts kubeconfigs for the database: AES-256-GCM (NIST SP 800-38D), bound to the account's name. */

import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { GatewayError } from '../../../core/errors.js';

/** `sealed:v1:<id of the key>:<base64 of nonce, tag and ciphertext>`. */
const prefix = 'sealed:v1:';
const nonceBytes = 12;
const tagBytes = 16;
const field = 'kubesvc.dynamicAccounts.encryptionKey';

export function isSealed(text: string): boolean {
  return text.startsWith(prefix);
}

export class Sealer {
  readonly #key: Buffer | undefined;
  readonly #keyId: string;

  /** @param key 32 bytes as base64 or hex; without one nothing is sealed or opened */
  constructor(key: string | undefined) {
    this.#key = key === undefined ? undefined : keyBytes(key);
    // Identifies the key without revealing it.
    this.#keyId = this.#key === undefined ? '' : createHash('sha256').update(this.#key).digest('hex').slice(0, 8);
  }

  get canSeal(): boolean {
    return this.#key !== undefined;
  }

  /** @throws GatewayError `invalid-argument` without a key */
  seal(text: string, account: string): string {
    if (this.#key === undefined) {
      throw new GatewayError('invalid-argument', `a kubeconfig is stored only encrypted, and ${field} is not set`);
    }
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(account));
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return `${prefix}${this.#keyId}:${Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')}`;
  }

  /** @throws GatewayError `configuration` if the key is missing or a different one, or the text was changed */
  open(text: string, account: string): string {
    const [keyId = '', body = ''] = text.slice(prefix.length).split(':');
    if (this.#key === undefined) throw new GatewayError('configuration', `${field} is not set`, { field });
    if (keyId !== this.#keyId) {
      throw new GatewayError('configuration', `${field} is not the key that the kubeconfig was encrypted with`, {
        field,
      });
    }
    const bytes = Buffer.from(body, 'base64');
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, nonceBytes))
        .setAAD(Buffer.from(account))
        .setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
      return decipher.update(bytes.subarray(nonceBytes + tagBytes), undefined, 'utf8') + decipher.final('utf8');
    } catch {
      throw new GatewayError('configuration', 'the stored kubeconfig was changed, or belongs to another account');
    }
  }
}

function keyBytes(key: string): Buffer {
  return Buffer.from(key, /^[0-9A-Fa-f]{64}$/u.test(key) ? 'hex' : 'base64');
}
