/** Rules for the gateway as Spring Cloud Config Server. */

import type { SettingProblem } from '../../configuration/problems.js';
import { takesTokens } from './authentication-rules.js';
import type { Config } from './schema.js';

const section = 'spinnaker.configServer';

/** First segments of other routes. */
export const reservedSegments: readonly string[] = [
  'agents',
  'armory',
  'console',
  'docs',
  'healthz',
  'kubernetes',
  'metrics',
  'openapi.json',
  'readyz',
];

export function checkConfigServer({ spinnaker, server }: Config, problems: SettingProblem[], warnings: string[]): void {
  const { enabled, applications, anonymous, refresh } = spinnaker.configServer;
  const mustHold = (holds: boolean, key: string, message: string): void => {
    if (!holds) problems.push({ key, message });
  };
  if (!enabled) {
    if (refresh.urls.length > 0) warnings.push(`${section}.refresh.urls: no effect without ${section}.enabled`);
    return;
  }
  mustHold(
    spinnaker.tokens.secretFile !== undefined,
    'spinnaker.tokens.secretFile',
    `expected a file, found nothing, with ${section}.enabled: there would be no tokens for Clouddriver`,
  );
  mustHold(applications.length > 0, `${section}.applications`, 'expected at least one name, found none');
  for (const name of applications)
    mustHold(
      !reservedSegments.includes(name),
      `${section}.applications`,
      `expected no route of the gateway, found ${name}`,
    );
  const { auth } = server;
  mustHold(
    anonymous || auth.x509.enabled || takesTokens(auth),
    `${section}.enabled`,
    `expected a way for callers to authenticate (server.auth.tokens, server.auth.x509), or ${section}.anonymous: true, found neither: nobody may read tokens of accounts`,
  );
  mustHold(
    !anonymous || auth.anonymousRole !== 'none',
    `${section}.anonymous`,
    'expected server.auth.anonymousRole: read with it, found none: callers without credentials are refused',
  );
  if (anonymous)
    warnings.push(
      `${section}.anonymous: true: anyone who can reach the REST API gets tokens that control the clusters of all accounts`,
    );
}
