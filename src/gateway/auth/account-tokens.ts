/**
 * Tokens that are good for the Kubernetes API of one account, for kubeconfigs that are kept elsewhere: Clouddriver writes
 * them to files that everybody can read. JSON Web Tokens (HS256) that are computed, not kept: every instance makes the same
 * token at the same time, and it changes only when it is renewed (docs/decisions/0070-security.md).
 */

import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import { decodeProtectedHeader, errors, jwtVerify, SignJWT } from 'jose';
import { GatewayError } from '../../core/errors.js';
import { deriveKey, type SharedSecrets } from '../../core/shared-secrets.js';
import { refusalOf } from './json-web-tokens.js';

/** No issuer elsewhere makes tokens of this type (`typ`, RFC 8725, 3.11), so they are told apart before they are checked. */
const tokenType = 'agent-gateway-account+jwt';
const algorithm = 'HS256';

export interface AccountTokensOptions {
  readonly secrets: () => SharedSecrets;
  readonly lifetimeSeconds: number;
  /** When the account's tokens were revoked last, Unix ms; 0: never. */
  readonly revokedAt: (account: string) => number;
}

export interface AccountToken {
  readonly token: string;
  /** When the next one takes its place, Unix ms, half of the lifetime before this one expires. */
  readonly renewAt: number;
}

interface Key {
  readonly id: string;
  readonly secret: KeyObject;
}

export class AccountTokens {
  readonly #options: AccountTokensOptions;
  #secrets: SharedSecrets | undefined;
  #keys: readonly Key[] = [];

  constructor(options: AccountTokensOptions) {
    this.#options = options;
  }

  /** The account's token of this moment. @param now Unix ms */
  async sign(account: string, now: number): Promise<AccountToken> {
    const { lifetimeSeconds, revokedAt } = this.#options;
    const [key] = this.#currentKeys();
    if (key === undefined) throw new Error('there is no secret');
    const periodSeconds = Math.floor(lifetimeSeconds / 2);
    // Accounts have periods that begin at different times, so that not all tokens are renewed at once.
    const offset = createHash('sha256').update(account).digest().readUInt32BE() % periodSeconds;
    const seconds = Math.floor(now / 1_000);
    const issuedAt = seconds - ((((seconds - offset) % periodSeconds) + periodSeconds) % periodSeconds);
    const claims = { sub: account, iat: issuedAt, exp: issuedAt + lifetimeSeconds, revoked: revokedAt(account) };
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: algorithm, typ: tokenType, kid: key.id })
      .sign(key.secret);
    return { token, renewAt: (issuedAt + periodSeconds) * 1_000 };
  }

  /**
   * @param now Unix ms
   * @returns the account that the token is good for
   * @throws GatewayError `unauthenticated` saying what is invalid
   */
  async verify(token: string, now: number): Promise<string> {
    const keys = this.#currentKeys();
    try {
      const { payload } = await jwtVerify(
        token,
        ({ kid }) => {
          const key = keys.find(({ id }) => id === kid);
          if (key === undefined) throw new errors.JWKSNoMatchingKey();
          return key.secret;
        },
        {
          typ: tokenType,
          algorithms: [algorithm],
          requiredClaims: ['sub', 'exp', 'revoked'],
          currentDate: new Date(now),
        },
      );
      const { sub = '', revoked } = payload;
      // By what was known when it was made, not by its time: clocks of instances differ.
      if (typeof revoked === 'number' && revoked >= this.#options.revokedAt(sub)) return sub;
    } catch (error) {
      throw refusalOf(error);
    }
    throw new GatewayError('unauthenticated', 'token refused: the tokens of its account were revoked', {
      field: 'authorization',
    });
  }

  #currentKeys(): readonly Key[] {
    const secrets = this.#options.secrets();
    if (secrets !== this.#secrets) {
      this.#secrets = secrets;
      this.#keys = secrets.map((secret) => ({
        id: deriveKey(secret, 'agent-gateway: id of the key of account tokens', 9).toString('base64url'),
        secret: createSecretKey(deriveKey(secret, 'agent-gateway: key of account tokens', 32)),
      }));
    }
    return this.#keys;
  }
}

/**
 * The account token in a header, which is not checked here.
 * @param authorization `Bearer TOKEN`, as it came
 * @returns undefined for credentials of another kind
 */
export function accountTokenIn(authorization: string | undefined): string | undefined {
  const token = /^Bearer +(\S+)$/iu.exec(authorization ?? '')?.[1];
  if (token === undefined) return undefined;
  try {
    return decodeProtectedHeader(token).typ === tokenType ? token : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Refuses the token of an account where it proves nothing, valid or not: no other service learns of it.
 * @throws GatewayError `permission-denied`
 */
export function refuseAccountToken(authorization: string | undefined): void {
  if (accountTokenIn(authorization) === undefined) return;
  const message =
    'the token is that of an account, and good only for its Kubernetes API (/kubernetes/accounts/ACCOUNT/...)';
  throw new GatewayError('permission-denied', message, { field: 'authorization' });
}
