/** kubectl with the kubeconfig that Clouddriver gets: over TLS, with a token, at the replica that does not own the account. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { Agent, request } from 'undici';
import { parseSharedSecrets } from '../../src/core/shared-secrets.js';
import { AccountTokens } from '../../src/gateway/auth/account-tokens.js';
import { SpinnakerKubeconfigs } from '../../src/gateway/spinnaker/kubeconfigs.js';
import { AgentProcess } from '../cluster/agent-process.js';
import { freePort } from '../free-port.js';
import { startGateway } from '../gateway/running-gateway.js';
import { Authority } from '../gateway/security/authority.js';
import { mariaDbDatabase } from '../services/databases.js';
import { clusterTools } from '../services/helm.js';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { startKubernetes } from '../services/kubernetes.js';
import { waitFor } from '../wait.js';
import { grantAgent } from './world.js';

const [programs, tools] = [await kubernetesPrograms(), await clusterTools()];
const missing = [programs, tools].find((one) => typeof one === 'string');
const account = 'arn:aws:eks:eu-west-1:123456789012:cluster/prod';

test('kubectl with the kubeconfig of Clouddriver', { skip: missing ?? false }, async (t) => {
  if (typeof programs === 'string' || typeof tools === 'string') return;
  const kubernetes = await startKubernetes(programs);
  t.teardown(() => kubernetes.stop());
  await grantAgent(kubernetes.api);
  const authority = new Authority(t);
  const server = authority.issue({ subject: '/CN=gateway', alternativeNames: 'IP:127.0.0.1' });
  const directory = t.testdir({ secrets: '1'.repeat(40), instances: '2'.repeat(40) });
  const database = await mariaDbDatabase(t);
  const ports = [await freePort(), await freePort()];
  const urls = ports.map((port) => `https://127.0.0.1:${String(port)}`);
  const [ownerUrl = '', strangerUrl = ''] = urls;
  const start = (index: number) =>
    startGateway(t, {
      'instance.id': `gateway-${String(index)}`,
      'instance.baseUrl': urls[index] ?? '',
      'sql.url': database.url,
      'kubesvc.cluster': 'static',
      'kubesvc.cluster-static.instances': urls.join(','),
      'kubesvc.drain.endpointRemovalMs': 0,
      'kubesvc.rebalance.enabled': false,
      'kubesvc.kubernetesApi.publicUrl': strangerUrl,
      'server.address': '127.0.0.1',
      'server.port': ports[index] ?? 0,
      'server.ssl.enabled': true,
      'server.ssl.certificateChain': server.certificate,
      'server.ssl.privateKey': server.key,
      'server.ssl.trustCertCollection': authority.certificate,
      'server.ssl.clientAuth': 'OPTIONAL',
      'server.auth.instances.secretFile': join(directory, 'instances'),
      'spinnaker.tokens.secretFile': join(directory, 'secrets'),
    });
  const [owner, stranger] = await Promise.all([start(0), start(1)]);
  await AgentProcess.start(t, {
    agentId: 'agent',
    addresses: [owner.agentsAddress],
    accounts: [
      { name: account, kubeConfigFile: await kubernetes.kubeconfigFor('kube-system', 'agent'), apiAccess: 'full' },
      { name: 'other', kubeConfigFile: await kubernetes.kubeconfigFor('kube-system', 'agent'), apiAccess: 'full' },
    ],
  });
  const secrets = parseSharedSecrets('1'.repeat(40));
  const revoked = new Map<string, number>();
  const tokens = new AccountTokens({
    secrets: () => secrets,
    lifetimeSeconds: 86_400,
    revokedAt: (name) => revoked.get(name) ?? 0,
  });
  const kubeconfigs = new SpinnakerKubeconfigs({
    tokens,
    publicUrl: strangerUrl,
    gateways: 'gateways',
    certificateAuthority: () => authority.read(authority.certificate),
  });
  const kubeconfig = join(directory, 'kubeconfig.yml');
  const write = async (): Promise<void> => {
    writeFileSync(kubeconfig, (await kubeconfigs.contentsFor(account, Date.now())).contents);
  };
  await write();
  // Clouddriver names no context.
  const kubectl = (...args: readonly string[]): Promise<string> => tools.kubectl(['--kubeconfig', kubeconfig, ...args]);

  const dispatcher = new Agent({ connect: { ca: authority.read(authority.certificate) } });
  t.teardown(() => dispatcher.close());
  const ask = async (method: 'GET' | 'DELETE', url: string): Promise<unknown> =>
    (await request(url, { method, dispatcher })).body.json();

  await waitFor(() => kubectl('get', '--raw', '/version').catch(() => undefined), {
    description: 'the agent to be reached',
  });
  t.match(await kubectl('get', 'namespaces'), /kube-system/u);
  await kubectl('create', 'configmap', 'settings', '--from-literal=a=b');
  await waitFor(
    async () => {
      const operations = (await ask('GET', `${strangerUrl}/armory/agent/operations`)) as {
        caller?: string;
        verb?: string;
      }[];
      return operations.some(({ caller, verb }) => caller === `account-token:${account}` && verb === 'create');
    },
    { description: 'the record of who created it' },
  );

  await t.test('another account', async (t) => {
    const path = join(directory, 'elsewhere.yml');
    const { contents } = await kubeconfigs.contentsFor(account, Date.now());
    writeFileSync(path, contents.replace(/accounts\/arn[^\s"']+/u, 'accounts/other'));
    await t.rejects(
      tools.kubectl(['--kubeconfig', path, 'get', 'pods']),
      /Forbidden|the token is good for account "arn:aws:eks:eu-west-1:123456789012:cluster\/prod" only/u,
    );
  });

  await t.test('revoked at one replica, refused by the other, and made anew', async (t) => {
    const path = `/armory/accounts/${encodeURIComponent(account)}/tokens`;
    const answer = (await ask('DELETE', ownerUrl + path)) as { revoked: string };
    await waitFor(
      () =>
        kubectl('get', 'pods').then(
          () => false,
          (error: unknown) => /logged in to the server|Unauthorized/u.test(String(error)),
        ),
      { description: 'the other replica to learn of it' },
    );
    revoked.set(account, Date.parse(answer.revoked));
    await write();
    t.equal(await kubectl('get', 'configmap', 'settings', '-o', 'name'), 'configmap/settings\n');
  });
  t.ok(stranger.log.some(({ msg }) => msg === 'request to the Kubernetes API of an account denied'));
});
