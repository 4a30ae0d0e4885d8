/** Rules between the settings of authentication, the same for agents and for callers of the REST API. */

import type { SettingProblem } from '../../configuration/problems.js';
import { parseFilter } from '../auth/filter.js';
import { isLoopback } from './derived.js';
import type { AuthenticationConfig, Config, TlsConfig } from './schema.js';

/**
 * @param section the section's key
 * @param tls of the port that the clients connect to
 */
export function checkAuthentication(
  section: string,
  auth: AuthenticationConfig,
  tls: TlsConfig,
  problems: SettingProblem[],
  warnings: string[],
): void {
  const mustHold = (holds: boolean, name: string, message: string) => {
    if (!holds) problems.push({ key: `${section}.${name}`, message });
  };
  const { x509, tokens, policyFile } = auth;
  const { jwt } = tokens;
  mustHold(
    !x509.enabled || (tls.enabled && tls.clientAuth !== 'NONE'),
    'x509.enabled',
    'expected TLS with clientAuth: REQUIRE or OPTIONAL on this port, found none: no client would present a certificate',
  );
  for (const text of x509.filters) {
    const filter = parseFilter(text);
    mustHold(
      typeof filter !== 'string',
      'x509.filters',
      `expected filters such as CN=agent,O=Acme or DNS:*.example.com, found "${text}": ${String(filter)}`,
    );
  }
  if (!x509.enabled && x509.filters.length > 0)
    warnings.push(`${section}.x509.filters: no effect without ${section}.x509.enabled`);

  const usesJwt = jwt.jwksFile !== undefined || jwt.jwksUrl !== undefined;
  mustHold(
    jwt.jwksFile === undefined || jwt.jwksUrl === undefined,
    'tokens.jwt.jwksUrl',
    'expected jwksFile or jwksUrl, found both',
  );
  mustHold(
    !usesJwt || jwt.issuer !== undefined,
    'tokens.jwt.issuer',
    'expected the issuer of the tokens, found nothing',
  );
  mustHold(
    !usesJwt || jwt.audiences.length > 0,
    'tokens.jwt.audiences',
    'expected at least one audience, found none: tokens issued for other services would be accepted',
  );
  mustHold(
    !usesJwt || jwt.algorithms.length > 0,
    'tokens.jwt.algorithms',
    'expected at least one algorithm, found none',
  );
  if (!usesJwt && (jwt.issuer !== undefined || jwt.audiences.length > 0))
    warnings.push(`${section}.tokens.jwt: no effect without jwksFile or jwksUrl`);

  const usesTokens = takesTokens(auth);
  if (usesTokens && !tls.enabled)
    warnings.push(`${section}.tokens: tokens travel in cleartext, unless TLS is terminated in front of this port`);
  mustHold(
    policyFile === undefined || x509.enabled || usesTokens,
    'policyFile',
    `expected ${section}.x509.enabled or one of ${section}.tokens beside it, found none: nobody could authenticate`,
  );
}

/** Whether any kind of token is checked. */
export function takesTokens({ tokens: { file, jwt, kubernetes } }: AuthenticationConfig): boolean {
  return file !== undefined || jwt.jwksFile !== undefined || jwt.jwksUrl !== undefined || kubernetes.enabled;
}

/** Rules for callers of the REST API, including instances. */
export function checkCallers({ server, kubesvc }: Config, problems: SettingProblem[], warnings: string[]): void {
  const { auth, ssl, address } = server;
  const { instances, anonymousRole } = auth;
  const mustHold = (holds: boolean, key: string, message: string) => {
    if (!holds) problems.push({ key, message });
  };
  const takesCredentials = auth.x509.enabled || takesTokens(auth);
  const local = isLoopback(address);
  mustHold(
    takesCredentials || anonymousRole !== 'none',
    'server.auth.anonymousRole',
    `expected read, operate or admin, or a way for callers to authenticate (server.auth.x509, server.auth.tokens), found neither: the REST API is reachable beyond this machine (server.address: ${address})`,
  );
  if (!takesCredentials && !local && anonymousRole !== 'none')
    warnings.push(
      `server.auth.anonymousRole: ${anonymousRole}: anyone who can reach the REST API has this role; restrict access with a NetworkPolicy`,
    );
  if (takesCredentials && (anonymousRole === 'operate' || anonymousRole === 'admin'))
    warnings.push(`server.auth.anonymousRole: ${anonymousRole}: callers have this role without authenticating`);
  mustHold(
    !takesCredentials || auth.policyFile !== undefined,
    'server.auth.policyFile',
    'expected a file that gives callers their roles, found nothing: no caller would have a role',
  );
  for (const text of instances.filters) {
    const filter = parseFilter(text);
    mustHold(
      typeof filter !== 'string',
      'server.auth.instances.filters',
      `expected filters such as CN=gateway or DNS:*.example.com, found "${text}": ${String(filter)}`,
    );
  }
  mustHold(
    instances.filters.length === 0 || (ssl.enabled && ssl.clientAuth !== 'NONE'),
    'server.auth.instances.filters',
    'expected TLS with server.ssl.clientAuth: REQUIRE or OPTIONAL, found none: no client would present a certificate',
  );
  const proves = instances.secretFile !== undefined || instances.filters.length > 0;
  mustHold(
    proves || kubesvc.cluster === 'local' || (!takesCredentials && ['admin', 'none'].includes(anonymousRole)),
    'server.auth.instances.secretFile',
    'expected a file, or server.auth.instances.filters, found nothing: calls from other instances would be refused',
  );
}
