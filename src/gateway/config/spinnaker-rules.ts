/** Rules for Spinnaker without a plugin. */

import type { SettingProblem } from '../../configuration/problems.js';
import { checkConfigServer } from './config-server-rules.js';
import type { Config } from './schema.js';

export function checkSpinnaker(config: Config, problems: SettingProblem[], warnings: string[]): void {
  const { spinnaker, kubesvc } = config;
  checkConfigServer(config, problems, warnings);
  const { secretFile } = spinnaker.tokens;
  if (secretFile === undefined) return;
  const { enabled, publicUrl } = kubesvc.kubernetesApi;
  const mustHold = (holds: boolean, key: string, message: string): void => {
    if (!holds) problems.push({ key, message: `${message}, with spinnaker.tokens.secretFile` });
  };
  mustHold(enabled, 'kubesvc.kubernetesApi.enabled', 'expected true, found false');
  mustHold(
    publicUrl?.startsWith('https://') === true,
    'kubesvc.kubernetesApi.publicUrl',
    `expected a URL that starts with https://, because kubectl sends tokens nowhere else, found ${publicUrl ?? 'nothing'}`,
  );
}
