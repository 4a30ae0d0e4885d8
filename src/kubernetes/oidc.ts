/**
 * The auth provider `oidc` of kubeconfigs (client-go: plugin/pkg/client/auth/oidc): its id-token until that expires, then
 * one that its refresh-token brings. kubectl writes what it got into the kubeconfig; here it is kept in memory.
 */

import { withDeadline } from '../core/deadline.js';
import { readDistantFile } from '../core/distant-file.js';
import type { Environment } from '../core/environment.js';
import { TellableError } from '../core/errors.js';
import { proxyFor } from '../core/proxy.js';
import { isJsonObject, parseJson, type JsonObject } from '../documents/exact-json.js';
import { openDispatcher } from './dispatcher.js';
import type { PluginCredential } from './exec-plugin.js';
import type { OidcSettings } from './kubeconfig.js';

/** Before it expires, as client-go. */
const leewayMs = 10_000;
const timeoutMs = 10_000;
const maximumBytes = 1024 * 1024;

/** Remembers the refresh token, which an issuer may exchange for another at each use. */
export class OidcTokens {
  #refreshToken: { readonly written: string | undefined; readonly now: string } | undefined;

  /** @throws Error in words, without a token; the signal's reason */
  async credential(settings: OidcSettings, environment: Environment, signal: AbortSignal): Promise<PluginCredential> {
    const { idToken, refreshToken: written } = settings;
    const given = idToken === undefined ? undefined : credentialOf(idToken);
    if (given?.expiresAt !== undefined && given.expiresAt > Date.now()) return given;
    const refreshToken = this.#refreshToken?.written === written ? this.#refreshToken?.now : written;
    if (refreshToken === undefined)
      throw new TellableError('auth-provider oidc: the id-token has expired and there is no refresh-token');
    const answer = await refresh(settings, refreshToken, environment, signal);
    if (answer.refresh_token !== undefined) this.#refreshToken = { written, now: answer.refresh_token };
    if (answer.id_token === undefined) throw new TellableError('auth-provider oidc: the issuer gave no id_token');
    return credentialOf(answer.id_token);
  }
}

interface TokenAnswer {
  readonly id_token?: string;
  readonly refresh_token?: string;
}

async function refresh(
  settings: OidcSettings,
  refreshToken: string,
  environment: Environment,
  signal: AbortSignal,
): Promise<TokenAnswer> {
  const { issuer, clientId, clientSecret, authority } = settings;
  const ca = authority.file === undefined ? authority.data : await readDistantFile(authority.file, signal);
  const tls = { ca, cert: undefined, key: undefined, servername: undefined, rejectUnauthorized: true };
  const ask = (url: URL, body: string | undefined, what: string): Promise<JsonObject> =>
    withDeadline(timeoutMs, signal, what, async (limit) => {
      const dispatcher = openDispatcher(url, tls, proxyFor(url, environment));
      try {
        const response = await dispatcher.request({
          origin: url.origin,
          path: `${url.pathname}${url.search}`,
          signal: limit,
          ...(body === undefined
            ? { method: 'GET' }
            : { method: 'POST', body, headers: { 'content-type': 'application/x-www-form-urlencoded', ...basic } }),
        });
        const text = await response.body.text();
        if (response.statusCode !== 200 || text.length > maximumBytes) throw new Error(String(response.statusCode));
        const answer = parseJson(text);
        if (!isJsonObject(answer)) throw new Error('expected an object');
        return answer;
      } catch (error) {
        limit.throwIfAborted();
        // The answer may quote a token.
        throw new TellableError(`auth-provider oidc: cannot get ${what}`, { cause: error });
      } finally {
        await dispatcher.destroy();
      }
    });
  const basic =
    clientSecret === undefined
      ? {}
      : {
          authorization: `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')}`,
        };
  const wellKnown = new URL(`${issuer.href.replace(/\/$/u, '')}/.well-known/openid-configuration`);
  const { token_endpoint: endpoint } = await ask(wellKnown, undefined, wellKnown.href);
  if (typeof endpoint !== 'string' || !URL.canParse(endpoint)) {
    throw new TellableError(`auth-provider oidc: ${wellKnown.href} names no token_endpoint`);
  }
  const form = { grant_type: 'refresh_token', refresh_token: refreshToken, client_id: clientId };
  return await ask(new URL(endpoint), new URLSearchParams(form).toString(), 'a new id-token');
}

/** @throws Error when it is no JSON Web Token */
function credentialOf(token: string): PluginCredential {
  try {
    const { exp } = parseJson(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as {
      exp?: unknown;
    };
    const seconds = Number(exp);
    const expiresAt = Number.isFinite(seconds) ? seconds * 1_000 - leewayMs : 0;
    return { token, cert: undefined, key: undefined, expiresAt };
  } catch {
    throw new TellableError('auth-provider oidc: expected a JSON Web Token for id-token');
  }
}
