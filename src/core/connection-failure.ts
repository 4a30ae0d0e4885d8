/**
 * Why a connection failed, told by the codes of Node.js, OpenSSL and undici, never by the text of a JavaScript error.
 */

import { TellableError, toGatewayError } from './errors.js';

export interface ConnectionFailure {
  /** "ECONNREFUSED". */
  readonly code: string;
  /** "connection refused (ECONNREFUSED)". */
  readonly reason: string;
  /** There was no connection, so the request cannot have had any effect. */
  readonly unsent: boolean;
}

/** The text, and whether nothing can have been sent. */
const failures: ReadonlyMap<string, readonly [words: string, unsent: boolean]> = new Map([
  ['ECONNREFUSED', ['connection refused', true]],
  ['ENOTFOUND', ['no such host', true]],
  ['EAI_AGAIN', ['the host name cannot be resolved at the moment', true]],
  ['UND_ERR_CONNECT_TIMEOUT', ['could not connect in time', true]],
  ['EHOSTUNREACH', ['no route to the host', true]],
  ['ENETUNREACH', ['no route to the network', true]],
  ['ETIMEDOUT', ['the connection timed out', false]],
  ['ECONNRESET', ['the connection was reset', false]],
  ['ECONNABORTED', ['the connection was cut', false]],
  ['EPIPE', ['the connection was cut', false]],
  ['UND_ERR_SOCKET', ['the connection was cut', false]],
  ['UND_ERR_ABORTED', ['the request was aborted', false]],
  ['UND_ERR_CLOSED', ['the connection is closed', false]],
  ['UND_ERR_DESTROYED', ['the connection is closed', false]],
  ['UND_ERR_HEADERS_TIMEOUT', ['no answer in time', false]],
  ['UND_ERR_BODY_TIMEOUT', ['the answer was not complete in time', false]],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', ['the answer was cut off', false]],
  ['UND_ERR_RES_EXCEEDED_MAX_SIZE', ['the answer is too large', false]],
]);

/** Codes of OpenSSL and Node.js for a refused certificate or handshake: nothing was sent. */
const tlsCodes =
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_CERT|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_(?:CA|PURPOSE)|EPROTO|HPE_)/u;

/** Undefined for any other error: those belong only in the log. */
export function connectionFailure(thrown: unknown): ConnectionFailure | undefined {
  let error: unknown = thrown;
  for (let depth = 0; depth < 5 && error instanceof Error; depth += 1) {
    const code = 'code' in error ? String(error.code) : '';
    const [words, unsent] = failures.get(code) ?? (tlsCodes.test(code) ? tlsFailure(code) : []);
    if (words !== undefined) return { code, reason: `${words} (${code})`, unsent: unsent === true };
    error = error.cause;
  }
  return undefined;
}

/** The reason for a failure, as callers are told it. For an unexpected error they are told only to look in the log. */
export function reasonFor(thrown: unknown): string {
  if (thrown instanceof TellableError) return thrown.message;
  return connectionFailure(thrown)?.reason ?? toGatewayError(thrown).message;
}

/** Whether reasonFor() only points to the log; if so, its caller must write the error there. */
export function isUnexpected(thrown: unknown): boolean {
  if (thrown instanceof TellableError || connectionFailure(thrown) !== undefined) return false;
  return toGatewayError(thrown).code === 'internal';
}

function tlsFailure(code: string): readonly [words: string, unsent: boolean] {
  if (code.startsWith('HPE_')) return ['the server does not speak HTTP', false];
  return ['TLS: the certificate or the handshake was refused', true];
}
