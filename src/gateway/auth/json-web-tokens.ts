/** JSON Web Tokens (RFC 7519), checked against the keys of a JWKS (RFC 7517) in a file or behind a URL. */

import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  errors,
  jwtVerify,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
} from 'jose';
import { isUnexpected, reasonFor } from '../../core/connection-failure.js';
import { GatewayError, toGatewayError } from '../../core/errors.js';
import type { Identity } from './identity.js';
import type { ReloadedFile } from './reloaded-file.js';

export interface JsonWebTokenOptions {
  readonly keys: JWTVerifyGetKey;
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** Accepted signature algorithms; never `none`. */
  readonly algorithms: readonly string[];
  readonly clockToleranceSeconds: number;
}

/** For keys from a file: gives the current ones. */
export function keysOfFile(file: ReloadedFile<JWTVerifyGetKey>): JWTVerifyGetKey {
  return (header, token) => file.current(header, token);
}

/** @throws Error in words; for ReloadedFile */
export function parseKeySet(text: string): JWTVerifyGetKey {
  try {
    return createLocalJWKSet(JSON.parse(text) as JSONWebKeySet);
  } catch {
    throw new Error('expected a JSON Web Key Set: {"keys": [...]}');
  }
}

/** Fetched when a key is missing, at most every 30 s, and again after ten minutes. */
export function keysOfUrl(url: string): JWTVerifyGetKey {
  return createRemoteJWKSet(new URL(url), { timeoutDuration: 5_000, cooldownDuration: 30_000, cacheMaxAge: 600_000 });
}

/** Whether an unverified token claims to be from this issuer. */
export function isIssuedBy(token: string, issuer: string): boolean {
  try {
    return decodeJwt(token).iss === issuer;
  } catch {
    return false;
  }
}

/**
 * @throws GatewayError `unauthenticated` saying what is invalid; `dependency-unavailable` if the keys cannot be fetched
 */
export async function verifyJsonWebToken(token: string, options: JsonWebTokenOptions): Promise<Identity> {
  const { keys, issuer, audiences, algorithms, clockToleranceSeconds } = options;
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience: [...audiences],
      algorithms: [...algorithms],
      clockTolerance: clockToleranceSeconds,
      requiredClaims: ['sub', 'exp'],
    });
    const { sub = '', exp = 0 } = payload;
    return { name: `jwt:${sub}`, claims: payload, expiresAt: (exp + clockToleranceSeconds) * 1_000 };
  } catch (error) {
    throw refusalOf(error);
  }
}

const unavailable = new Set<string>([errors.JWKSTimeout.code, errors.JWKSInvalid.code, errors.JOSEError.code]);

/** What jwtVerify() threw, in words. */
export function refusalOf(error: unknown): GatewayError {
  if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired) {
    const message = error.code === 'ERR_JWT_EXPIRED' ? 'expired' : `claim "${error.claim}" is not accepted`;
    return new GatewayError('unauthenticated', `token refused: ${message}`, { field: 'authorization' });
  }
  if (error instanceof errors.JOSEError && !unavailable.has(error.code)) {
    const reason = reasons[error.code] ?? 'invalid token';
    return new GatewayError('unauthenticated', `token refused: ${reason}`, { field: 'authorization', cause: error });
  }
  const known = error instanceof errors.JOSEError;
  if (!known && isUnexpected(error)) return toGatewayError(error);
  const reason = known ? error.message : reasonFor(error);
  const message = `cannot fetch the keys that verify tokens: ${reason}`;
  return new GatewayError('dependency-unavailable', message, { cause: error, retryAfterMs: 1_000 });
}

const reasons: Readonly<Record<string, string>> = {
  ERR_JOSE_ALG_NOT_ALLOWED: 'its signature algorithm is not allowed',
  ERR_JOSE_NOT_SUPPORTED: 'its signature algorithm is not allowed',
  ERR_JWS_INVALID: 'not a signed JSON Web Token',
  ERR_JWT_INVALID: 'not a JSON Web Token',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'invalid signature',
  ERR_JWKS_NO_MATCHING_KEY: 'not signed with a known key',
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: 'several keys may have signed it; the token must name one (kid)',
};
