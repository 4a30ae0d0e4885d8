/**
 * Determines the identity of a client. It may present both a certificate and a token: every credential presented must be
 * valid, and if both are, the token sets the identity. Agents and callers of the REST API have an authenticator each,
 * with its own settings.
 */

import { GatewayError } from '../../core/errors.js';
import { refuseAccountToken } from './account-tokens.js';
import { nameOfCertificate, readCertificate } from './certificate.js';
import type { Filter } from './filter.js';
import type { Credentials, Identity } from './identity.js';
import { isIssuedBy, verifyJsonWebToken, type JsonWebTokenOptions } from './json-web-tokens.js';
import type { ReloadedFile } from './reloaded-file.js';
import { findStaticToken, type StaticTokens } from './static-tokens.js';
import type { TokenReviewer } from './token-review.js';

export interface AuthenticatorOptions {
  /** Absent: certificates are not used here. Without filters, every certificate that the port trusts is accepted. */
  readonly certificates?: { readonly filters: readonly Filter[] } | undefined;
  readonly staticTokens?: ReloadedFile<StaticTokens> | undefined;
  readonly jsonWebTokens?: JsonWebTokenOptions | undefined;
  readonly tokenReviewer?: TokenReviewer | undefined;
  readonly now: () => number;
}

/** The longest name of an identity that SQL keeps. */
const nameLimit = 1_000;
/** Longer tokens are not of any kind that is supported here. */
const tokenLimit = 16_384;

export class Authenticator {
  readonly #options: AuthenticatorOptions;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /**
   * @throws GatewayError `unauthenticated` saying what is invalid or missing; `permission-denied` for a certificate
   *   that no filter matches; `dependency-unavailable`
   */
  async authenticate(credentials: Credentials, signal: AbortSignal): Promise<Identity> {
    const identity = await this.#prove(credentials, signal);
    // Names end up in SQL, logs and errors.
    if (identity.name.length <= nameLimit && !/\p{Cc}/u.test(identity.name)) return identity;
    throw new GatewayError('unauthenticated', 'the name of the identity is too long or contains control characters', {
      field: 'authorization',
    });
  }

  get takesCertificates(): boolean {
    return this.#options.certificates !== undefined;
  }

  async #prove({ certificate, authorization }: Credentials, signal: AbortSignal): Promise<Identity> {
    const shown = certificate === undefined ? undefined : this.#certificate(certificate);
    if (authorization !== undefined && this.#takesTokens) {
      const identity = await this.#token(authorization, signal);
      if (shown?.certificate === undefined) return identity;
      const expiresAt = Math.min(identity.expiresAt ?? Number.POSITIVE_INFINITY, shown.certificate.expiresAt);
      return { ...identity, certificate: shown.certificate, expiresAt };
    }
    if (shown !== undefined) return shown;
    throw new GatewayError('unauthenticated', `no credentials: expected ${this.#expected}`, {
      field: 'authorization',
    });
  }

  /** Checks an identity again. @throws GatewayError `unauthenticated` if its static token has since been removed */
  reverify({ token }: Identity): void {
    const { staticTokens, now } = this.#options;
    if (token === undefined || staticTokens === undefined) return;
    const known = [...staticTokens.current.values()].filter((identity) => identity.token === token);
    if (known.some(({ expiresAt = Number.POSITIVE_INFINITY }) => expiresAt > now())) return;
    throw new GatewayError('unauthenticated', `token ${token} is no longer accepted`, { field: 'authorization' });
  }

  get #takesTokens(): boolean {
    const { staticTokens, jsonWebTokens, tokenReviewer } = this.#options;
    return staticTokens !== undefined || jsonWebTokens !== undefined || tokenReviewer !== undefined;
  }

  get #expected(): string {
    const ways = [
      ...(this.#options.certificates === undefined ? [] : ['a client certificate']),
      ...(this.#takesTokens ? ['a token (authorization: Bearer)'] : []),
    ];
    return ways.join(' or ');
  }

  #certificate(der: Buffer): Identity | undefined {
    const { certificates } = this.#options;
    if (certificates === undefined) return undefined;
    const certificate = readCertificate(der);
    const name = nameOfCertificate(certificate);
    if (name === '') {
      const message = 'the certificate has no subject, no DNS name and no SPIFFE id';
      throw new GatewayError('unauthenticated', message, { field: 'certificate' });
    }
    const { filters } = certificates;
    if (filters.length > 0 && !filters.some((filter) => filter({ certificate }))) {
      throw new GatewayError('permission-denied', `no filter matches the certificate of ${name}`, {
        field: 'certificate',
      });
    }
    return { name, certificate, expiresAt: certificate.expiresAt };
  }

  async #token(authorization: string, signal: AbortSignal): Promise<Identity> {
    refuseAccountToken(authorization);
    const token = /^Bearer +(\S+)$/iu.exec(authorization)?.[1];
    if (token === undefined || token.length > tokenLimit) {
      throw new GatewayError('unauthenticated', 'authorization: expected "Bearer TOKEN" (RFC 6750)', {
        field: 'authorization',
      });
    }
    const { staticTokens, jsonWebTokens, tokenReviewer, now } = this.#options;
    const known = staticTokens === undefined ? undefined : findStaticToken(staticTokens.current, token);
    if (known !== undefined) {
      if ((known.expiresAt ?? Number.POSITIVE_INFINITY) > now()) return known;
      throw new GatewayError('unauthenticated', 'token refused: expired', { field: 'authorization' });
    }
    if (jsonWebTokens !== undefined && (tokenReviewer === undefined || isIssuedBy(token, jsonWebTokens.issuer)))
      return verifyJsonWebToken(token, jsonWebTokens);
    if (tokenReviewer !== undefined) return tokenReviewer.verify(token, signal);
    throw new GatewayError('unauthenticated', 'token refused: unknown token', { field: 'authorization' });
  }
}
