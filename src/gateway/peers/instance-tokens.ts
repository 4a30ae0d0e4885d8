/**
 * How instances authenticate to each other: every call carries a JSON Web Token that a shared secret signs (HS256,
 * RFC 7518), for this receiver, this method, path and body, for half a minute, and for one use. Not made by a library:
 * that took a tenth of the cost of forwarding an operation (docs/decisions/0070-security.md).
 */

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { GatewayError } from '../../core/errors.js';
import type { SharedSecrets } from '../../core/shared-secrets.js';

/** Carries the token; `authorization` stays free for callers. */
export const instanceTokenHeader = 'x-agent-gateway-instance';

/** The call that a token is for. */
export interface InstanceCall {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** SHA-256 of the body, base64url; of an empty body if there is none. */
  readonly bodyDigest: string;
}

export function digestOf(body: Uint8Array | string | undefined): string {
  return createHash('sha256')
    .update(body ?? '')
    .digest('base64url');
}

export interface InstanceTokensOptions {
  /** This instance. */
  readonly instanceId: string;
  /** The first one signs; a token of any of them is accepted. */
  readonly secrets: () => SharedSecrets;
  /** Wall clock, Unix ms. */
  readonly now: () => number;
}

/** The only header that is made and accepted. */
const head = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url');
const lifetimeSeconds = 30;
const clockToleranceSeconds = 30;
/** The most used tokens that are remembered while they are valid; further ones are refused. */
const usedLimit = 1_000_000;

export class InstanceTokens {
  readonly #options: InstanceTokensOptions;
  readonly #prefix = randomBytes(12).toString('base64url');
  #signed = 0;
  /** Used ids, in two generations that are forgotten one after the other. */
  #used = new Set<string>();
  #usedBefore = new Set<string>();
  #generationEnds = 0;

  constructor(options: InstanceTokensOptions) {
    this.#options = options;
  }

  /** @param receiver the id of the instance that is called */
  sign(receiver: string, { method, path, bodyDigest }: InstanceCall): string {
    const { instanceId, secrets, now } = this.#options;
    const [secret] = secrets();
    if (secret === undefined) throw new Error('there is no secret');
    this.#signed += 1;
    const iat = Math.floor(now() / 1_000);
    const jti = `${this.#prefix}${String(this.#signed)}`;
    const claims = { iss: instanceId, aud: receiver, iat, jti, htm: method, htu: path, body: bodyDigest };
    const signed = `${head}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
    return `${signed}.${macOf(secret, signed)}`;
  }

  /**
   * Checks a token, except its digest of the body, which has not arrived yet.
   * @returns who signed it, and the digest that the body must have
   * @throws GatewayError `permission-denied` saying what is invalid; `overloaded`
   */
  verify(
    token: string,
    { method, path }: Omit<InstanceCall, 'bodyDigest'>,
  ): { readonly instanceId: string; readonly bodyDigest: string } {
    const { iss, aud, iat, jti, htm, htu, body } = this.#claims(token);
    if (typeof iss !== 'string' || typeof jti !== 'string' || typeof body !== 'string' || typeof iat !== 'number')
      throw refused('missing claim');
    const age = this.#options.now() / 1_000 - iat;
    if (aud !== this.#options.instanceId) throw refused('issued for another instance');
    if (age > lifetimeSeconds + clockToleranceSeconds || age < -clockToleranceSeconds)
      throw refused('expired, or the clocks of the two instances differ');
    if (htm !== method || htu !== path) throw refused('issued for another call');
    this.#use(`${iss} ${jti}`);
    return { instanceId: iss, bodyDigest: body };
  }

  /** The claims of a token that one of the secrets has signed. */
  #claims(token: string): Readonly<Record<string, unknown>> {
    const end = token.lastIndexOf('.');
    const signed = token.slice(0, end);
    const mac = Buffer.from(token.slice(end + 1));
    // Nothing of the token is read before this; its header is not parsed, but must be exactly ours.
    if (end === -1 || !signed.startsWith(`${head}.`)) throw refused('malformed token');
    const isSigned = this.#options.secrets().some((secret) => {
      const expected = Buffer.from(macOf(secret, signed));
      return mac.length === expected.length && timingSafeEqual(mac, expected);
    });
    if (!isSigned) throw refused('not signed with a secret of this instance');
    return JSON.parse(Buffer.from(signed.slice(head.length + 1), 'base64url').toString('utf8')) as Readonly<
      Record<string, unknown>
    >;
  }

  /** Notes that a token was used. */
  #use(id: string): void {
    // By a wall clock that is set forward and back, tokens that are valid again would be forgotten.
    const now = performance.now();
    if (now >= this.#generationEnds) {
      this.#usedBefore = now >= this.#generationEnds + validMs ? new Set() : this.#used;
      this.#used = new Set();
      this.#generationEnds = now + validMs;
    }
    if (this.#used.has(id) || this.#usedBefore.has(id)) throw refused('already used');
    if (this.#used.size >= usedLimit)
      throw new GatewayError('overloaded', 'too many calls from other instances at once', { retryAfterMs: 1_000 });
    this.#used.add(id);
  }
}

/**
 * The time from the first to the last moment at which a token is accepted, with the largest tolerated clock difference.
 */
const validMs = (lifetimeSeconds + 2 * clockToleranceSeconds) * 1_000;

/** As text, so that there is one way to write it. */
function macOf(secret: Uint8Array, signed: string): string {
  return createHmac('sha256', secret).update(signed).digest('base64url');
}

function refused(reason: string): GatewayError {
  return new GatewayError('permission-denied', `not a call from an instance: token refused: ${reason}`, {
    field: instanceTokenHeader,
  });
}
