/** Keeps obtained credentials until they expire or are refused. */

import { stringifyJson } from '../documents/exact-json.js';
import type { PluginCredential } from './exec-plugin.js';
import { OidcTokens } from './oidc.js';

/** Keeps the credential of one user until it expires. */
export class KeptCredentials {
  /** Of an auth provider. */
  readonly oidc = new OidcTokens();
  #kept: { readonly key: string; readonly credential: PluginCredential } | undefined;
  readonly #now: () => number;

  /** @param now Unix ms */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /**
   * @param source identifies the origin: a credential from a different one is requested anew
   * @throws errors of `ask`
   */
  async of(source: object, ask: () => Promise<PluginCredential>): Promise<PluginCredential> {
    const key = stringifyJson(source);
    if (this.#kept?.key === key && (this.#kept.credential.expiresAt ?? Infinity) > this.#now()) {
      return this.#kept.credential;
    }
    const credential = await ask();
    this.#kept = { key, credential };
    return credential;
  }

  /** The API server has refused it. */
  forget(): void {
    this.#kept = undefined;
  }
}
