/** Authentication at one port, by a section of the configuration: first the credentials, then the policy's rule. */

import type { Environment } from '../../core/environment.js';
import type { Logger } from '../../core/logger.js';
import { ApiClient } from '../../kubernetes/client.js';
import { RenewedAccess } from '../../kubernetes/renewed-access.js';
import { Authenticator } from './authenticator.js';
import { parseFilter } from './filter.js';
import type { Credentials, Identity } from './identity.js';
import { keysOfFile, keysOfUrl, parseKeySet, type JsonWebTokenOptions } from './json-web-tokens.js';
import { ruleFor, type Rule } from './policy.js';
import { ReloadedFile } from './reloaded-file.js';
import { parseStaticTokens } from './static-tokens.js';
import { TokenReviewer } from './token-review.js';

/** A client with a proven identity. */
export interface Admitted<Grant> {
  readonly identity: Identity;
  /** What its accounts are bound to: `policy:` and the name of the rule; without a policy, the identity's name. */
  readonly principal: string;
  /** Absent without a policy: everything is allowed. */
  readonly grant: Grant | undefined;
}

/** What may prove an identity at one port: a section of the configuration (docs/configuration.md), `kubesvc.grpc.auth` or `server.auth`. */
export interface AuthenticationSettings {
  readonly x509: { readonly enabled: boolean; readonly filters: readonly string[] };
  readonly tokens: {
    readonly file?: string | undefined;
    readonly jwt: Omit<JsonWebTokenOptions, 'keys' | 'issuer'> & {
      readonly jwksFile?: string | undefined;
      readonly jwksUrl?: string | undefined;
      readonly issuer?: string | undefined;
    };
    readonly kubernetes: {
      readonly enabled: boolean;
      readonly kubeconfigFile?: string | undefined;
      readonly audiences: readonly string[];
    };
  };
  readonly policyFile?: string | undefined;
}

const reviewTimeoutMs = 5_000;

export class Authentication<Grant> {
  readonly #authenticator: Authenticator;
  readonly #policy: ReloadedFile<readonly Rule<Grant>[]> | undefined;
  readonly #files: readonly ReloadedFile<unknown>[];
  readonly #access: RenewedAccess | undefined;

  private constructor(
    authenticator: Authenticator,
    policy: ReloadedFile<readonly Rule<Grant>[]> | undefined,
    files: readonly ReloadedFile<unknown>[],
    access: RenewedAccess | undefined,
  ) {
    this.#authenticator = authenticator;
    this.#policy = policy;
    this.#files = files;
    this.#access = access;
  }

  /**
   * Reads the files that the section names.
   * @param section its key, for errors
   * @returns undefined if authentication is off
   * @throws GatewayError `configuration` naming the setting
   */
  static async open<Grant>(
    section: string,
    { x509, tokens, policyFile }: AuthenticationSettings,
    parsePolicy: (text: string) => readonly Rule<Grant>[],
    { now, environment }: { readonly now: () => number; readonly environment: Environment },
  ): Promise<Authentication<Grant> | undefined> {
    const open = <Content>(name: string, path: string | undefined, parse: (text: string) => Content) =>
      path === undefined ? undefined : ReloadedFile.open(`${section}.${name}`, path, parse);
    const staticTokens = await open('tokens.file', tokens.file, parseStaticTokens);
    const keySet = await open('tokens.jwt.jwksFile', tokens.jwt.jwksFile, parseKeySet);
    const policy = await open('policyFile', policyFile, parsePolicy);
    const { jwksUrl, issuer = '', ...rules } = tokens.jwt;
    const keys = keySet === undefined ? (jwksUrl === undefined ? undefined : keysOfUrl(jwksUrl)) : keysOfFile(keySet);
    const jsonWebTokens: JsonWebTokenOptions | undefined = keys === undefined ? undefined : { ...rules, keys, issuer };
    const { enabled, kubeconfigFile, audiences } = tokens.kubernetes;
    const setting = `${section}.tokens.kubernetes.kubeconfigFile`;
    const access = enabled ? new RenewedAccess({ kubeconfigFile, environment, setting }) : undefined;
    const tokenReviewer =
      access === undefined
        ? undefined
        : new TokenReviewer({ client: new ApiClient(access, reviewTimeoutMs), audiences });
    // The configuration's rules have already refused invalid filters.
    const filters = x509.filters.map(parseFilter).filter((filter) => typeof filter !== 'string');
    const certificates = x509.enabled ? { filters } : undefined;
    const ways = { certificates, staticTokens, jsonWebTokens, tokenReviewer };
    if (Object.values(ways).every((way) => way === undefined)) return undefined;
    const files = [staticTokens, keySet, policy].filter((file) => file !== undefined);
    return new Authentication<Grant>(new Authenticator({ ...ways, now }), policy, files, access);
  }

  get takesCertificates(): boolean {
    return this.#authenticator.takesCertificates;
  }

  /** @throws GatewayError as Authenticator.authenticate(); `permission-denied` if the policy has no rule for it */
  async admit(credentials: Credentials, signal: AbortSignal): Promise<Admitted<Grant>> {
    return this.#judge(await this.#authenticator.authenticate(credentials, signal));
  }

  /** The result by the current tokens and policy. @throws GatewayError `unauthenticated`, `permission-denied` */
  reauthorize({ identity }: Admitted<Grant>): Admitted<Grant> {
    this.#authenticator.reverify(identity);
    return this.#judge(identity);
  }

  /** Calls the listener when the result of judgeAgain() may have changed. */
  onChange(listener: () => void): void {
    for (const file of this.#files) file.onChange(listener);
  }

  /** Follows the files until the signal aborts; never rejects. */
  async run(logger: Logger, signal: AbortSignal): Promise<void> {
    await Promise.all(this.#files.map((file) => file.run(logger, signal)));
  }

  async close(): Promise<void> {
    await this.#access?.close();
  }

  #judge(identity: Identity): Admitted<Grant> {
    if (this.#policy === undefined) return { identity, principal: identity.name, grant: undefined };
    const { name, grant } = ruleFor(this.#policy.current, identity);
    return { identity, principal: `policy:${name}`, grant };
  }
}
