/**
 * How instances prove to each other who they are: every call carries a JSON Web Token that a shared secret signs (HS256,
 * RFC 7518), for this receiver, this method, path and body, for half a minute, and for one use.
 */

import { createHash, randomBytes } from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';
import { GatewayError } from '../../core/errors.js';

/** Carries the token; `authorization` stays free for callers. */
export const instanceTokenHeader = 'x-agent-gateway-instance';

/** What a token is for. */
export interface InstanceCall {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** SHA-256 of the body, base64url; of nothing where there is none. */
  readonly bodyDigest: string;
}

/** The first one signs; a token of any of them is accepted, so that they can be replaced without a gap. */
export type InstanceSecrets = readonly Uint8Array[];

const secretLength = 32;

/**
 * One secret a line.
 * @throws Error in words
 */
export function parseInstanceSecrets(text: string): InstanceSecrets {
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

export function digestOf(body: Uint8Array | string | undefined): string {
  return createHash('sha256')
    .update(body ?? '')
    .digest('base64url');
}

export interface InstanceTokensOptions {
  /** This instance. */
  readonly instanceId: string;
  readonly secrets: () => InstanceSecrets;
  /** Unix ms. */
  readonly now: () => number;
}

const lifetimeSeconds = 30;
const clockToleranceSeconds = 30;
/** Tokens that were used and are still valid; more of them in a minute than this are refused. */
const usedLimit = 1_000_000;

export class InstanceTokens {
  readonly #options: InstanceTokensOptions;
  readonly #prefix = randomBytes(12).toString('base64url');
  #signed = 0;
  /** Ids that were used, in two generations that are forgotten one after the other. */
  #used = new Set<string>();
  #usedBefore = new Set<string>();
  #generationEnds = 0;

  constructor(options: InstanceTokensOptions) {
    this.#options = options;
  }

  /** @param receiver the id of the instance that is called */
  sign(receiver: string, { method, path, bodyDigest }: InstanceCall): Promise<string> {
    const { instanceId, secrets, now } = this.#options;
    const [secret] = secrets();
    if (secret === undefined) throw new Error('there is no secret');
    this.#signed += 1;
    const seconds = Math.floor(now() / 1_000);
    return new SignJWT({ htm: method, htu: path, body: bodyDigest })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuer(instanceId)
      .setAudience(receiver)
      .setIssuedAt(seconds)
      .setExpirationTime(seconds + lifetimeSeconds)
      .setJti(`${this.#prefix}${String(this.#signed)}`)
      .sign(secret);
  }

  /**
   * Checks all of a token but what it says of the body, which has not come yet.
   * @returns who signed it, and the digest that the body must have
   * @throws GatewayError `permission-denied` saying what does not hold; `overloaded`
   */
  async verify(
    token: string,
    { method, path }: Omit<InstanceCall, 'bodyDigest'>,
  ): Promise<{ readonly instanceId: string; readonly bodyDigest: string }> {
    const payload = await this.#payload(token);
    const { iss, jti, htm, htu, body } = payload;
    if (htm !== method || htu !== path) throw refused('it is for another call');
    if (iss === undefined || jti === undefined || typeof body !== 'string') throw refused('a claim is missing');
    this.#use(`${iss} ${jti}`);
    return { instanceId: iss, bodyDigest: body };
  }

  async #payload(token: string) {
    const { instanceId, secrets, now } = this.#options;
    const options = {
      algorithms: ['HS256'],
      audience: instanceId,
      clockTolerance: clockToleranceSeconds,
      maxTokenAge: lifetimeSeconds,
      currentDate: new Date(now()),
    };
    let reason: unknown;
    for (const secret of secrets()) {
      try {
        return (await jwtVerify(token, secret, options)).payload;
      } catch (error) {
        reason = error;
        if ((error as { code?: unknown }).code !== 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED') break;
      }
    }
    throw refused('its signature, receiver or time does not hold', reason);
  }

  /** Notes that a token was used. */
  #use(id: string): void {
    const now = this.#options.now();
    if (now >= this.#generationEnds) {
      this.#usedBefore = now >= this.#generationEnds + validMs ? new Set() : this.#used;
      this.#used = new Set();
      this.#generationEnds = now + validMs;
    }
    if (this.#used.has(id) || this.#usedBefore.has(id)) throw refused('it was used before');
    if (this.#used.size >= usedLimit)
      throw new GatewayError('overloaded', 'too many calls of instances at once', { retryAfterMs: 1_000 });
    this.#used.add(id);
  }
}

/** From the first to the last moment at which a token is accepted, clocks being apart as far as they may. */
const validMs = (lifetimeSeconds + 2 * clockToleranceSeconds) * 1_000;

function refused(reason: string, cause?: unknown): GatewayError {
  return new GatewayError('permission-denied', `not the call of an instance: its token is refused: ${reason}`, {
    field: instanceTokenHeader,
    cause,
  });
}
