/** The configuration of an agent with one account, whose API server takes requests without credentials. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * @param directory where the account's kubeconfig is written
 * @param address `host:port` of the gateway
 * @param server address of the API server
 * @returns as in its configuration file
 */
export async function agentConfiguration(
  directory: string,
  address: string,
  account: string,
  server: string,
): Promise<object> {
  const kubeConfigFile = join(directory, `${account}.kubeconfig.json`);
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': account,
    clusters: [{ name: account, cluster: { server } }],
    users: [{ name: account, user: {} }],
    contexts: [{ name: account, context: { cluster: account, user: account } }],
  };
  await writeFile(kubeConfigFile, JSON.stringify(kubeconfig));
  return {
    agentId: `agent-${account}`,
    clouddriver: { grpc: address },
    kubernetes: { accounts: [{ name: account, kubeConfigFile, apiAccess: 'full' }] },
    server: { port: 0 },
    logging: { level: 'warn' },
  };
}
