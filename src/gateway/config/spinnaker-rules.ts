/** Rules for Spinnaker without a plugin. */

import type { SettingProblem } from '../../configuration/problems.js';
import type { Config } from './schema.js';

export function checkSpinnaker({ spinnaker, kubesvc }: Config, problems: SettingProblem[]): void {
  const mustHold = (holds: boolean, key: string, message: string): void => {
    if (!holds) problems.push({ key, message });
  };
  const { secretFile } = spinnaker.tokens;
  const { enabled, publicUrl } = kubesvc.kubernetesApi;
  const withTokens = 'with spinnaker.tokens.secretFile';
  mustHold(
    secretFile === undefined || enabled,
    'kubesvc.kubernetesApi.enabled',
    `expected true, found false, ${withTokens}`,
  );
  mustHold(
    secretFile === undefined || publicUrl?.startsWith('https://') === true,
    'kubesvc.kubernetesApi.publicUrl',
    `expected a URL that starts with https://, because kubectl sends tokens nowhere else, found ${publicUrl ?? 'nothing'}, ${withTokens}`,
  );
  const { url, user, password, token, ssl } = spinnaker.clouddriver;
  const inUrl = url !== undefined && URL.canParse(url) && new URL(url).username !== '';
  mustHold(
    url === undefined || URL.canParse(url),
    'spinnaker.clouddriver.url',
    'expected a URL such as http://spin-clouddriver:7002, found a text that is none',
  );
  mustHold(
    url === undefined || secretFile !== undefined,
    'spinnaker.tokens.secretFile',
    'expected a file, found nothing, with spinnaker.clouddriver.url: Clouddriver reaches accounts with the tokens that it signs',
  );
  mustHold(
    token === undefined || (user === undefined && password === undefined && !inUrl),
    'spinnaker.clouddriver.token',
    'expected either a token, or a user and password (also in spinnaker.clouddriver.url), found both',
  );
  mustHold(
    password === undefined || user !== undefined || inUrl,
    'spinnaker.clouddriver.user',
    'expected a user, found nothing, with spinnaker.clouddriver.password',
  );
  mustHold(
    (ssl.certificateChain === undefined) === (ssl.privateKey === undefined),
    'spinnaker.clouddriver.ssl.privateKey',
    'expected both spinnaker.clouddriver.ssl.certificateChain and spinnaker.clouddriver.ssl.privateKey, or neither',
  );
  for (const pattern of spinnaker.accounts.namePatterns) {
    mustHold(
      isRegularExpression(pattern),
      'spinnaker.accounts.namePatterns',
      `expected regular expressions, found "${pattern}"`,
    );
  }
}

export function isRegularExpression(text: string): boolean {
  try {
    return new RegExp(text, 'u') instanceof RegExp;
  } catch {
    return false;
  }
}
