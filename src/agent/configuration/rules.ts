/** Rules that involve several settings of the agent. */

import type { SettingProblem } from '../../configuration/problems.js';
import type { YamlSection } from '../../configuration/yaml.js';
import { gatewayAddresses } from './addresses.js';
import type { AgentConfiguration } from './schema.js';

/** @param written the settings of the file */
export function checkRules(
  { clouddriver, dynamicAccounts, kubernetes }: AgentConfiguration,
  written: YamlSection,
): SettingProblem[] {
  const problems: SettingProblem[] = [];
  const mustHold = (holds: boolean, key: string, message: string): void => {
    if (!holds) problems.push({ key, message });
  };
  const accounts = Array.isArray(kubernetes?.accounts) ? kubernetes.accounts : [];
  mustHold(
    accounts.length > 0 || dynamicAccounts.enabled,
    'kubernetes.accounts',
    'expected at least one account, or dynamicAccounts.enabled: true',
  );
  const names = new Set<string>();
  accounts.forEach(({ name, serviceAccount, kubeConfigFile }, index) => {
    const key = `kubernetes.accounts[${String(index)}]`;
    mustHold(!names.has(name), `${key}.name`, `"${name}" is named twice`);
    names.add(name);
    mustHold(
      serviceAccount !== (kubeConfigFile !== undefined),
      key,
      'expected either serviceAccount: true or a kubeConfigFile',
    );
  });
  const addresses = gatewayAddresses(clouddriver);
  if (typeof addresses === 'string') problems.push({ key: 'clouddriver.grpc', message: addresses });
  mustHold(
    written['hub'] === undefined || written['hub'] === null || grpcOf(written) !== undefined,
    'hub',
    'Armory Cloud is not supported; set clouddriver.grpc to the HOST:PORT of a gateway',
  );
  const { clientCertFile, clientKeyFile } = clouddriver.tls;
  mustHold(
    clientKeyFile === undefined || clientCertFile !== undefined,
    'clouddriver.tls.clientCertFile',
    'expected the certificate for clouddriver.tls.clientKeyFile, found nothing',
  );
  const { token, tokenFile, tokenCommand } = clouddriver.auth;
  const tokens = [token, tokenFile, tokenCommand.command].filter((each) => each !== undefined);
  mustHold(tokens.length <= 1, 'clouddriver.auth', 'expected one of token, tokenFile and tokenCommand.command');
  return problems;
}

function grpcOf(written: YamlSection): unknown {
  const { clouddriver } = written as { clouddriver?: { grpc?: unknown } | null };
  return clouddriver?.grpc ?? undefined;
}
