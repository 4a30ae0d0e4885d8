/** Who may do what with the API of a cluster, and as whom the cluster sees it: by the rules of callers (auth/policy.ts). */

import { BoundedWarnings } from '../../core/bounded-warnings.js';
import { GatewayError, toGatewayError } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { refusedByRead, type AccessLevel, type RequestInfo } from '../../kubernetes/request-info.js';
import type { HeaderList } from '../../tunnel/exchange.js';
import { accountTokenIn, type AccountTokens } from '../auth/account-tokens.js';
import type { Admitted, Authentication } from '../auth/authentication.js';
import type { Credentials } from '../auth/identity.js';
import type { CallerGrant, Role } from '../auth/policy.js';
import type { Metrics } from '../telemetry/metrics.js';

export interface KubernetesApiAuthorizationOptions {
  readonly callers: Pick<Authentication<CallerGrant>, 'admit' | 'takesCertificates'> | undefined;
  /** Absent: there are no tokens of accounts. */
  readonly accountTokens:
    { readonly tokens: Pick<AccountTokens, 'verify'>; readonly access: AuthorizedRequest['access'] } | undefined;
  /** Role of callers without credentials. */
  readonly anonymousRole: Role | 'none';
  /** Deadline for checking the credentials, in ms. */
  readonly timeoutMs: number;
  /** Wall clock, Unix ms. */
  readonly now: () => number;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'authentications'>;
}

/** The credentials of a request, and from where it came. */
export interface KubernetesCredentials extends Credentials {
  /** For the log. */
  readonly address: string;
}

/** A request that may go to the cluster. */
export interface AuthorizedRequest {
  /** For records: `policy:RULE`, `account-token:ACCOUNT`, or "anonymous ADDRESS". */
  readonly caller: string;
  readonly access: Exclude<AccessLevel, 'off'>;
  /** Headers to add. */
  readonly impersonation: HeaderList;
}

/** A request, and the protocol that it asks to change to; '' for none. */
export type AskedFor = RequestInfo & { readonly upgrade: string };

export class KubernetesApiAuthorization {
  readonly #options: KubernetesApiAuthorizationOptions;
  readonly #warnings: BoundedWarnings;

  constructor(options: KubernetesApiAuthorizationOptions) {
    this.#options = options;
    this.#warnings = new BoundedWarnings(options.logger);
  }

  /** Whether callers may show certificates: else nobody has to read them from the connection. */
  get takesCertificates(): boolean {
    return this.#options.callers?.takesCertificates === true;
  }

  /**
   * At once for callers without credentials, so that their requests wait for nothing.
   * @throws GatewayError `unauthenticated`, `permission-denied`, `dependency-unavailable` or `timed-out` if the credentials
   *   could not be checked; it has been logged and counted
   */
  admit(
    credentials: KubernetesCredentials,
    account: string,
    asked: AskedFor,
    signal: AbortSignal,
  ): AuthorizedRequest | Promise<AuthorizedRequest> {
    const { callers, anonymousRole } = this.#options;
    // Before other ways to authenticate, which would take it for a foreign or an invalid one.
    const token = accountTokenIn(credentials.authorization);
    if (token !== undefined) {
      return this.#checked(credentials, account, asked, () => this.#admitByToken(token, account, asked));
    }
    const showsNothing = credentials.authorization === undefined && credentials.certificate === undefined;
    if (callers !== undefined && !(showsNothing && anonymousRole !== 'none')) {
      return this.#checked(credentials, account, asked, async () => {
        const deadline = AbortSignal.any([signal, AbortSignal.timeout(this.#options.timeoutMs)]);
        return authorize(await callers.admit(credentials, deadline), account, asked);
      });
    }
    try {
      return admitAnonymous(anonymousRole, credentials.address, account, asked);
    } catch (thrown) {
      throw this.#denied(thrown, credentials, account, asked);
    }
  }

  async #admitByToken(token: string, account: string, asked: AskedFor): Promise<AuthorizedRequest> {
    const { accountTokens, now } = this.#options;
    if (accountTokens === undefined) {
      const message =
        'token refused: this gateway takes no tokens of accounts (spinnaker.tokens.secretFile is not set)';
      throw new GatewayError('unauthenticated', message, { field: 'authorization' });
    }
    const { tokens, access } = accountTokens;
    const tokenAccount = await tokens.verify(token, now());
    const caller = `account-token:${tokenAccount}`;
    if (tokenAccount !== account)
      throw forbidden(asked, caller, account, `the token is good for account "${tokenAccount}" only`);
    const reason = refusal(access, asked);
    if (reason !== undefined)
      throw forbidden(asked, caller, account, `spinnaker.tokens.access gives tokens access "${access}": ${reason}`);
    return { caller, access, impersonation: [] };
  }

  async #checked(
    credentials: KubernetesCredentials,
    account: string,
    asked: AskedFor,
    check: () => Promise<AuthorizedRequest>,
  ): Promise<AuthorizedRequest> {
    try {
      const admitted = await check();
      this.#options.metrics.authentications.inc({ port: 'rest', outcome: 'admitted' });
      return admitted;
    } catch (thrown) {
      throw this.#denied(thrown, credentials, account, asked);
    }
  }

  #denied(
    thrown: unknown,
    { address }: KubernetesCredentials,
    account: string,
    { verb, path }: AskedFor,
  ): GatewayError {
    const error = toGatewayError(thrown);
    this.#options.metrics.authentications.inc({ port: 'rest', outcome: error.code });
    const fields = { address, account, verb, path, code: error.code, error: error.message };
    this.#warnings.warn(fields, 'request to the Kubernetes API of an account denied');
    return error;
  }
}

function admitAnonymous(role: Role | 'none', address: string, account: string, asked: AskedFor): AuthorizedRequest {
  if (role === 'none') throw new GatewayError('unauthenticated', 'no credentials', { field: 'authorization' });
  const access = role === 'read' ? 'read' : 'full';
  const given = `server.auth.anonymousRole gives callers without credentials access "${access}"`;
  const reason = refusal(access, asked);
  if (reason !== undefined) throw forbidden(asked, 'anonymous', account, `${given}: ${reason}`);
  return { caller: `anonymous ${address}`, access, impersonation: [] };
}

function authorize(
  { identity, principal, grant }: Admitted<CallerGrant>,
  account: string,
  asked: AskedFor,
): AuthorizedRequest {
  const rule = `rule ${principal.replace(/^policy:/u, '')} of server.auth.policyFile`;
  const applying = grant?.kubernetes.find((one) => one.account(account));
  if (applying === undefined) {
    const lacking =
      grant === undefined
        ? 'server.auth.policyFile is not set, and gives nobody access'
        : `${rule} does not give access to this account: it needs an entry such as kubernetes: [{accounts: [${JSON.stringify(account)}], access: read, as: agent}]`;
    throw forbidden(asked, identity.name, account, lacking);
  }
  const { access, impersonate } = applying;
  const reason = refusal(access, asked);
  if (reason !== undefined)
    throw forbidden(asked, identity.name, account, `${rule} gives access "${access}": ${reason}`);
  return { caller: principal, access, impersonation: impersonate?.(identity, principal) ?? [] };
}

function refusal(access: AuthorizedRequest['access'], asked: AskedFor): string | undefined {
  return access === 'full' ? undefined : refusedByRead(asked, asked.upgrade);
}

/** In the words of the API server (k8s.io/apiserver, endpoints/handlers/responsewriters/errors.go), with the account. */
function forbidden(asked: AskedFor, who: string, account: string, why: string): GatewayError {
  const { isResource, verb, path, resource, subresource, group, namespace, name } = asked;
  const kind = `${resource}${subresource === '' ? '' : `/${subresource}`}`;
  const object = `${resource}${group === '' ? '' : `.${group}`}${name === '' ? '' : ` "${name}"`}`;
  const scope = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  const what = isResource
    ? `${object} is forbidden: User "${who}" cannot ${verb} resource "${kind}" in API group "${group}" ${scope}`
    : `forbidden: User "${who}" cannot ${verb} path "${path}"`;
  return new GatewayError('permission-denied', `${what} of account "${account}": ${why}`, { account });
}
