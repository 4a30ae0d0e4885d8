/**
 * Tokens of Kubernetes service accounts, which the API server itself checks (TokenReview, authentication.k8s.io/v1).
 * Answers are cached for a moment, so that a thousand agents that come back at once do not cause a thousand calls; and
 * requests that show one token at the same time, as those of kubectl do, wait for one answer.
 */

import { createHash } from 'node:crypto';
import { decodeJwt } from 'jose';
import { isUnexpected, reasonFor } from '../../core/connection-failure.js';
import { GatewayError } from '../../core/errors.js';
import { SharedWork } from '../../core/shared-work.js';
import type { ApiClient } from '../../kubernetes/client.js';
import type { Identity } from './identity.js';

export interface TokenReviewerOptions {
  readonly client: Pick<ApiClient, 'post'>;
  /** The token must be for one of these audiences; none: for the API server. */
  readonly audiences: readonly string[];
  /** A clock that only goes forward, in ms; default: performance.now(). */
  readonly now?: () => number;
}

interface TokenReview {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly audiences?: readonly string[];
    readonly user?: { readonly username?: string; readonly groups?: readonly string[] };
  };
}

/** Known or not, by digest of the token. */
interface Answer {
  readonly identity: Identity | undefined;
  readonly until: number;
}

const path = '/apis/authentication.k8s.io/v1/tokenreviews';
const acceptedForMs = 60_000;
const refusedForMs = 10_000;
const answerLimit = 10_000;

export class TokenReviewer {
  readonly #options: TokenReviewerOptions;
  readonly #answers = new Map<string, Answer>();
  /** By digest: questions that are under way. */
  readonly #questions = new Map<string, SharedWork<Identity | undefined>>();

  constructor(options: TokenReviewerOptions) {
    this.#options = options;
  }

  /** @throws GatewayError `unauthenticated`; `dependency-unavailable` if the API server does not answer */
  async verify(token: string, signal: AbortSignal): Promise<Identity> {
    const { now = () => performance.now() } = this.#options;
    const digest = createHash('sha256').update(token).digest('base64');
    let answer = this.#answers.get(digest);
    if (answer === undefined || answer.until <= now()) {
      const identity = await this.#askOnce(digest, token, signal);
      answer = { identity, until: now() + (identity === undefined ? refusedForMs : acceptedForMs) };
      this.#keep(digest, answer);
    }
    if (answer.identity !== undefined) return answer.identity;
    const message = 'token refused by the Kubernetes API server';
    throw new GatewayError('unauthenticated', message, { field: 'authorization' });
  }

  async #askOnce(digest: string, token: string, signal: AbortSignal): Promise<Identity | undefined> {
    const question = this.#questions.get(digest) ?? new SharedWork();
    this.#questions.set(digest, question);
    try {
      return await question.run(signal, (ofAll) => this.#ask(token, ofAll));
    } finally {
      if (!question.isRunning && this.#questions.get(digest) === question) this.#questions.delete(digest);
    }
  }

  async #ask(token: string, signal: AbortSignal): Promise<Identity | undefined> {
    const { client, audiences } = this.#options;
    let review: TokenReview;
    try {
      const spec = { token, ...(audiences.length === 0 ? {} : { audiences }) };
      const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec };
      review = (await client.post(path, body, signal)) as TokenReview;
    } catch (error) {
      signal.throwIfAborted();
      if (isUnexpected(error)) throw error;
      const message = `the Kubernetes API server could not check the token: ${reasonFor(error)}`;
      throw new GatewayError('dependency-unavailable', message, { cause: error, retryAfterMs: 1_000 });
    }
    const { authenticated = false, user, audiences: valid = [] } = review.status ?? {};
    if (!authenticated || user?.username === undefined) return undefined;
    // A server without support for audiences ignores them (Kubernetes API reference, TokenReviewStatus).
    if (audiences.length > 0 && !audiences.some((audience) => valid.includes(audience))) return undefined;
    const { username, groups = [] } = user;
    const expiresAt = expiryOf(token);
    return {
      name: `kubernetes:${username}`,
      claims: { sub: username, groups },
      ...(expiresAt === undefined ? {} : { expiresAt }),
    };
  }

  #keep(digest: string, answer: Answer): void {
    this.#answers.delete(digest);
    this.#answers.set(digest, answer);
    const oldest = this.#answers.keys().next();
    if (this.#answers.size > answerLimit && oldest.done !== true) this.#answers.delete(oldest.value);
  }
}

/**
 * The API server has accepted the token, but does not report its expiry; tokens that it issues contain one (Unix ms).
 */
function expiryOf(token: string): number | undefined {
  try {
    const { exp } = decodeJwt(token);
    return exp === undefined ? undefined : exp * 1_000;
  } catch {
    return undefined;
  }
}
