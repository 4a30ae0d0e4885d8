/** kubectl over TLS, with tokens and certificates: who may what, and as whom the cluster sees it. */

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { stringify } from 'yaml';
import { accountPath } from '../../src/gateway/kubernetes-api/path.js';
import { AgentProcess } from '../cluster/agent-process.js';
import { startGateway } from '../gateway/running-gateway.js';
import { Authority } from '../gateway/security/authority.js';
import { clusterTools } from '../services/helm.js';
import { kubernetesPrograms } from '../services/kubernetes-program.js';
import { startKubernetes } from '../services/kubernetes.js';
import { startNodeDouble } from '../services/node-double.js';
import { waitFor } from '../wait.js';
import { grantAgent } from './world.js';

const [programs, tools] = [await kubernetesPrograms(), await clusterTools()];
const missing = [programs, tools].find((one) => typeof one === 'string');
const account = 'team/prod';

/** Callers by token: what their rule says. */
const policy = {
  callers: [
    rule('full', [{ accounts: ['*'], access: 'full', as: 'agent' }]),
    rule('reader', [{ accounts: ['team/*'], access: 'read', as: 'agent' }]),
    rule('ann', [{ accounts: ['*'], access: 'full', as: { user: 'ann', groups: ['developers'] } }]),
    rule('elsewhere', [{ accounts: ['other'], access: 'full', as: 'agent' }]),
    { ...rule('certificate', [{ accounts: ['*'], access: 'full', as: { user: '{name}' } }]), match: ['CN=kim'] },
  ],
};

function rule(name: string, kubernetes: readonly object[]) {
  return { name, match: [`token:${name}`], role: 'read', kubernetes };
}

test('kubectl over TLS', { skip: missing ?? false }, async (t) => {
  if (typeof programs === 'string' || typeof tools === 'string') return;
  const kubernetes = await startKubernetes(programs);
  t.teardown(() => kubernetes.stop());
  const node = await startNodeDouble(programs, kubernetes);
  t.teardown(() => node.stop());
  await grantAgent(kubernetes.api);
  const authority = new Authority(t);
  const server = authority.issue({ subject: '/CN=gateway', alternativeNames: 'IP:127.0.0.1' });
  const kim = authority.issue({ subject: '/CN=kim' });
  const directory = t.testdir({});
  const file = (name: string, content: object): string => {
    writeFileSync(join(directory, name), stringify(content));
    return join(directory, name);
  };
  const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
  const names = policy.callers.map(({ name }) => name);
  const gateway = await startGateway(t, {
    'server.ssl.enabled': true,
    'server.ssl.certificateChain': server.certificate,
    'server.ssl.privateKey': server.key,
    'server.ssl.trustCertCollection': authority.certificate,
    'server.ssl.clientAuth': 'OPTIONAL',
    'server.auth.x509.enabled': true,
    'server.auth.tokens.file': file('tokens.yml', { tokens: names.map((name) => ({ name, sha256: sha256(name) })) }),
    'server.auth.policyFile': file('policy.yml', policy),
  });
  await AgentProcess.start(t, {
    agentId: 'agent',
    addresses: [gateway.agentsAddress],
    accounts: [
      {
        name: account,
        kubeConfigFile: await kubernetes.kubeconfigFor('kube-system', 'agent'),
        apiAccess: 'full',
      },
    ],
  });
  const kubeconfig = file('kubeconfig.yml', {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'gateway',
        cluster: { server: gateway.restUrl + accountPath(account), 'certificate-authority': authority.certificate },
      },
    ],
    users: [
      ...names.map((name) => ({ name, user: { token: name } })),
      { name: 'kim', user: { 'client-certificate': kim.certificate, 'client-key': kim.key } },
      { name: 'nobody', user: {} },
      { name: 'liar', user: { token: 'wrong' } },
    ],
    contexts: [...names, 'kim', 'nobody', 'liar'].map((user) => ({
      name: user,
      context: { cluster: 'gateway', user },
    })),
  });
  const kubectl = (who: string, ...args: readonly string[]): Promise<string> =>
    tools.kubectl(['--kubeconfig', kubeconfig, '--context', who, ...args]);

  await waitFor(() => kubectl('full', 'get', '--raw', '/version').catch(() => undefined), {
    description: 'the agent to be reached',
  });

  await t.test('over HTTP/2 and over HTTP/1.1', async (t) => {
    t.match(await kubectl('full', 'get', 'namespaces'), /kube-system/u);
    await kubectl('full', 'create', 'configmap', 'settings', '--from-literal=a=b');
    t.equal(await kubectl('full', 'get', 'configmap', 'settings', '-o', 'jsonpath={.data.a}'), 'b');
    await kubectl('full', 'run', 'shell', '--image=x', '--restart=Never', '--command', '--', 'sleep', '120');
    await kubectl('full', 'wait', '--for=condition=Ready', 'pod/shell', '--timeout=60s');
    t.equal(await kubectl('full', 'exec', 'shell', '--', 'echo', 'from the shell'), 'from the shell\n', 'an upgrade');
  });

  await t.test('a reader reads, but no secrets, and opens no shell', async (t) => {
    t.match(await kubectl('reader', 'get', 'pods'), /shell/u);
    t.match(await kubectl('reader', 'logs', 'shell'), '');
    for (const args of [
      ['get', 'secrets', '-A'],
      ['get', 'secrets', '-w'],
      ['get', '--raw', '/api/v1/watch/secrets'],
      ['get', '--raw', '/api/v1/namespaces/default/secrets?watch=1'],
      ['get', '--raw', '/api/v1/namespaces/default/pods/shell/exec?command=id&stdout=1'],
      ['get', '--raw', '/api/v1/namespaces/default/services/x/proxy/'],
      ['get', '--raw', '/api/v1/nodes/node/proxy/pods'],
      ['get', '--raw', '/metrics'],
      ['exec', 'shell', '--', 'id'],
      ['delete', 'configmap', 'settings'],
      ['create', 'token', 'default'],
    ])
      await t.rejects(kubectl('reader', ...args), /Forbidden|forbidden/u, args.join(' '));
    t.equal(await kubectl('full', 'get', 'configmap', 'settings', '-o', 'name'), 'configmap/settings\n');
  });

  await t.test("the cluster's own rules decide for a caller that it sees by name", async (t) => {
    t.match(await kubectl('ann', 'auth', 'whoami'), /ann[^]*developers/u);
    await t.rejects(kubectl('ann', 'get', 'pods'), /User "ann" cannot list resource "pods"/u);
    await kubernetes.api.post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: 'developers' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
      subjects: [{ kind: 'Group', name: 'developers', apiGroup: 'rbac.authorization.k8s.io' }],
    });
    t.match(await kubectl('ann', 'get', 'pods'), /shell/u);
    t.match(await kubectl('kim', 'auth', 'whoami'), /x509:CN=kim/u);
    await t.rejects(kubectl('ann', 'get', 'pods', '--as=system:admin'), /cannot impersonate anybody/u);
  });

  await t.test('who has no right is told why', async (t) => {
    await t.rejects(
      kubectl('elsewhere', 'get', 'pods'),
      /rule elsewhere of server.auth.policyFile does not give access/u,
    );
    await t.rejects(kubectl('liar', 'get', 'pods'), /You must be logged in to the server/u);
    // kubectl sends nothing without credentials: it asks for a name.
    await t.rejects(kubectl('nobody', 'get', 'pods'), /Please enter Username/u);
  });
});
