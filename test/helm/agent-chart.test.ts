/** helm/agent: the file that it renders, and what it refuses. */

import { test } from 'tap';
import { parse } from 'yaml';
import { parseAgentConfiguration, readConfigurationText } from '../../src/agent/configuration/read.js';
import { agentRows } from './agent-values.js';
import { containerSurroundings, objectOf, podOf, render, toolsOrSkip, type Values } from './rendering.js';

const chart = 'agent';

test('the file has what Secrets and probes need', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  const file = async (values: Values): Promise<unknown> =>
    parse(objectOf(await render(tools, chart, values), 'ConfigMap').data!['agent.yml']!);
  t.match(await file(agentRows['deploys to two namespaces, with mTLS']), {
    clouddriver: {
      grpc: 'gateway.example.com:9091',
      insecure: false,
      auth: { tokenFile: '/etc/agent-gateway/token/token' },
      tls: {
        serverName: 'gateway.internal',
        insecureSkipVerify: false,
        clientCertFile: '/etc/agent-gateway/tls/tls.crt',
        clientKeyFile: '/etc/agent-gateway/tls/tls.key',
        cacertFile: '/etc/agent-gateway/tls/ca.crt',
      },
    },
    server: { host: '0.0.0.0' },
  });
  const trustOnly = await file(agentRows['a gateway with a certificate, and no certificate of its own']);
  t.same((trustOnly as { clouddriver: { tls: unknown } }).clouddriver.tls, {
    insecureSkipVerify: false,
    cacertFile: '/etc/agent-gateway/tls/ca.crt',
  });
  t.match(await file(agentRows['names and places']), { server: { host: '::', port: 9082 } });
});

test('the agent accepts every file that is rendered', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  for (const [name, values] of Object.entries<Values>(agentRows)) {
    const objects = await render(tools, chart, values);
    const { args, environment } = await containerSurroundings(t, objects);
    const { configuration, warnings } = parseAgentConfiguration(readConfigurationText(args[2]!), args[2]!, environment);
    t.same(warnings, [], name);
    const pod = podOf(objects);
    const ports = new Map(pod.containers[0]!.ports!.map((port) => [port.name, port.containerPort]));
    t.equal(ports.get('health'), configuration.server.port, name);
    t.equal(ports.get('metrics'), configuration.prometheus.enabled ? configuration.prometheus.port : undefined, name);
    t.not(configuration.server.host, 'localhost', `${name}: probes reach it`);
    t.ok(pod.terminationGracePeriodSeconds! >= configuration.tasks.drainSeconds + 10, `${name}: the drain fits`);
    t.equal(environment['DEPLOYMENT_NAME'], objectOf(objects, 'Deployment').metadata.name);
    t.equal(configuration.clouddriver.insecure, values['tls'] === undefined, name);
    const usesAccount = configuration.kubernetes.accounts.some(({ serviceAccount }) => serviceAccount);
    t.equal(pod.automountServiceAccountToken, usesAccount || configuration.dynamicAccounts.enabled, name);
  }
});

test('a changed configuration reaches the pods without a restart', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  const rendered = async (level: string) => {
    const { config } = agentRows['looks at its own cluster'];
    return render(tools, chart, { config: { ...config, logging: { level } } });
  };
  const [one, other] = [await rendered('info'), await rendered('debug')];
  t.same(objectOf(one, 'Deployment'), objectOf(other, 'Deployment'));
  t.notSame(objectOf(one, 'ConfigMap'), objectOf(other, 'ConfigMap'));
  t.equal(podOf(one).containers[0]!.volumeMounts!.find(({ name }) => name === 'config')?.subPath, undefined);
});

test('viewers see no Secrets, deployers cannot raise their own permissions', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  const view = objectOf(await render(tools, chart, agentRows['looks at its own cluster']), 'ClusterRole').rules!;
  t.same([...new Set(view.flatMap(({ verbs }) => verbs))].sort(), ['get', 'list', 'watch']);
  for (const { apiGroups, resources } of view) {
    t.notOk(apiGroups?.includes('*'));
    if (apiGroups?.includes('')) t.notOk(resources?.includes('secrets') || resources?.includes('*'));
  }
  const deploy = objectOf(await render(tools, chart, agentRows['deploys to two namespaces, with mTLS']), 'ClusterRole');
  const verbs = deploy.rules!.flatMap((rule) => rule.verbs);
  for (const verb of ['*', 'escalate', 'bind', 'impersonate']) t.notOk(verbs.includes(verb), verb);
});

const { config } = agentRows['looks at its own cluster'];
const refusals: readonly (readonly [values: Values, sentence: RegExp])[] = [
  [{}, /config\.clouddriver\.grpc is missing/],
  [{ config: { clouddriver: { grpc: 'x:9091' } } }, /config\.kubernetes\.accounts is missing/],
  [{ config, serviceAccount: { create: false } }, /serviceAccount\.name/],
  [{ config, tls: { certManager: { enabled: true } } }, /tls\.existingSecret is missing/],
  [{ config, tls: { existingSecret: 'x', certManager: { enabled: true } } }, /issuerRef is missing/],
  [{ config, metrics: { podMonitor: { enabled: true } } }, /needs config\.prometheus\.enabled/],
  [{ config, token: { existingSecret: 'x', projected: { enabled: true } } }, /either existingSecret or projected/],
  [{ config, terminationGracePeriodSeconds: 29 }, /expected at least 30/],
  [{ config: { ...config, tasks: { drainSeconds: 0 } }, terminationGracePeriodSeconds: 9 }, /expected at least 10/],
  [{ config: { ...config, kubernets: {} } }, /additional properties 'kubernets' not allowed/],
  [{ config: { ...config, kubernetes: { accounts: [{ serviceAccount: true }] } } }, /missing property 'name'/],
  [{ config: { clouddriver: { grpc: 'x:1', auth: { token: 'hunter2' } } } }, /at '\/config\/clouddriver\/auth\/token'/],
  [{ config, rbac: { access: 'admin' } }, /at '\/rbac\/access'/],
  [{ config, replicas: 2 }, /additional properties 'replicas' not allowed/],
];

test('what cannot work is refused with a sentence', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  for (const [values, sentence] of refusals) {
    await t.rejects(render(tools, chart, values), { message: sentence }, JSON.stringify(values));
  }
});
