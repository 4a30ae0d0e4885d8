/** helm/agent-gateway: a replica would start with what is rendered, and what cannot work is refused. */

import { readFileSync } from 'node:fs';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { test } from 'tap';
import { parse } from 'yaml';
import { parseSharedSecrets } from '../../src/core/shared-secrets.js';
import { loadConfig } from '../../src/gateway/config/config.js';
import { permissionMessage } from '../../src/discovery/kubernetes/permission.js';
import { gatewayRows } from './gateway-values.js';
import { containerSurroundings, objectOf, render, toolsOrSkip, podOf, type Values } from './rendering.js';

const chart = 'agent-gateway';
const secrets = {
  sql: {
    url: 'jdbc:mysql://mysql.example.com:3306/gateway',
    user: 'gateway',
    password: 'hunter1',
    'secret.password': 'hunter2\n',
    owner: 'owner',
    'owner-password': 'hunter3',
  },
  redis: { url: 'redis://redis.example.com:6379', 'redis-password': 'hunter4' },
  sealing: { aes: Buffer.alloc(32, 1).toString('base64') },
  'grpc-tls': { password: 'hunter5' },
  'rest-tls': { password: 'hunter6' },
};

test('a replica starts with what is rendered', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  for (const [name, values] of Object.entries<Values>(gatewayRows)) {
    const objects = await render(tools, chart, values);
    const { args, environment, pathOf } = await containerSurroundings(t, objects, secrets);
    t.equal(args[0], 'serve', name);
    const { config } = loadConfig({ environment, flags: args.slice(1), terminal: false });
    const { kubesvc, server, instance } = config;
    t.equal(instance.id, 'gw-7d9c5b8f6-x2x9k', name);
    t.equal(server.address, '*', `${name}: probes reach it`);
    t.equal(kubesvc.grpc.server.address, '*', `${name}: agents reach it`);

    const pod = podOf(objects);
    const container = pod.containers[0]!;
    const rest = objectOf(objects, 'Service', /^(?!.*grpc$)/);
    const ports = new Map(container.ports!.map((port) => [port.name, port.containerPort]));
    const discovery = kubesvc['cluster-kubernetes'];
    t.equal(ports.get('grpc'), kubesvc.grpc.server.port, name);
    t.equal(ports.get(discovery.httpPortName.toLowerCase()), server.port, name);
    t.ok(rest.metadata.name.startsWith(discovery.clouddriverServiceNamePrefix), rest.metadata.name);
    t.equal(rest.spec!.ports![0]!.name, discovery.httpPortName.toLowerCase());
    t.ok(pod.terminationGracePeriodSeconds! * 1000 >= kubesvc.drain.timeoutMs + 5_000, `${name}: the drain fits`);
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const) {
      t.equal(container[probe]!.httpGet!.scheme, server.ssl.enabled ? 'HTTPS' : 'HTTP');
    }
    const grpcService = objectOf(objects, 'Service', /grpc$/).spec!;
    t.equal(grpcService.ports![0]!.appProtocol, kubesvc.grpc.server.security.enabled ? 'https' : 'kubernetes.io/h2c');

    const files = JSON.stringify(objects);
    t.notMatch(files, /hunter/, `${name}: no secret is rendered`);
    if (name === 'a fragment of clouddriver.yml') {
      t.equal(config.sql.url, 'mysql://mysql:3306/clouddriver');
      t.equal(kubesvc.grpc.server.keepAliveTimeMs, 10_000);
      t.equal(kubesvc.grpc.server.maxInboundMessageSize, 8 << 20);
      t.equal(kubesvc.operations.maxPending, 10_000_000, 'large numbers stay numbers');
    }
    if (name !== 'everything from Secrets') continue;
    t.match(config.sql, { url: 'mysql://mysql.example.com:3306/gateway', user: 'gateway', password: 'hunter2' });
    t.match(config.sql.migration, { user: 'owner', password: 'hunter3' });
    t.equal(config.sql.ssl.trustCertCollection, pathOf('/etc/agent-gateway/tls/sql/roots.pem'));
    t.match(config.redis, { connection: 'redis://redis.example.com:6379', password: 'hunter4' });
    t.match(kubesvc.grpc.server.security, { enabled: true, clientAuth: 'REQUIRE', privateKeyPassword: 'hunter5' });
    t.match(server.ssl, { enabled: true, clientAuth: 'OPTIONAL', privateKeyPassword: 'hunter6' });
    t.equal(kubesvc.dynamicAccounts.encryptionKey, secrets.sealing.aes);
    t.equal(config.spinnaker.tokens.secretFile, pathOf('/etc/agent-gateway/secrets/account-tokens/signing'));
  }
});

test('the Role is the one that discovery asks for', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  const [, yaml = ''] = permissionMessage('spinnaker', undefined).split(/^---$/m, 2);
  const asked = parse(yaml) as { readonly rules: unknown };
  const role = objectOf(await render(tools, chart, gatewayRows['a shared database']), 'Role');
  t.same(role.rules, asked.rules);
  t.equal(role.metadata.namespace, 'spinnaker');
});

test('alerts and dashboard arrive as they are', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  const file = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
  const objects = await render(tools, chart, gatewayRows['monitored']);
  const alerts: unknown = parse(
    file('k8s/monitoring/alerts.yaml').replaceAll('runbook_url: docs/', 'runbook_url: https://example.com/docs/'),
  );
  t.same(objectOf(objects, 'PrometheusRule').spec, alerts);
  const dashboard = objectOf(objects, 'ConfigMap', /dashboard$/).data!['agent-gateway.json']!;
  t.same(JSON.parse(dashboard), JSON.parse(file('k8s/monitoring/dashboard.json')));
});

test('with TLS on port 7002 replicas trust each other by the names that they call', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  const objects = await render(tools, chart, gatewayRows['certificates of cert-manager'], { namespace: 'gateway' });
  const { args, environment } = await containerSurroundings(t, objects, secrets);
  const { config } = loadConfig({ environment, flags: args.slice(1), terminal: false });
  const { useDNS, domainName } = config.kubesvc['cluster-kubernetes'];
  t.equal(useDNS, true);
  const { dnsNames } = objectOf(objects, 'Certificate', /rest/).spec;
  const certificate = { subjectaltname: dnsNames.map((name) => `DNS:${name}`).join(', ') };
  // As discovery makes it of an address (src/discovery/kubernetes/merge.ts).
  const host = `10-0-0-7.gateway.pod.${domainName}`;
  t.equal(checkServerIdentity(host, certificate as unknown as PeerCertificate), undefined);
  t.match(environment['NODE_EXTRA_CA_CERTS'], /tls\/rest\/ca\.crt$/);
});

test('Spinnaker without a plugin, by one value', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  const settingsOf = async (values: Values) => {
    const objects = await render(tools, chart, values, { namespace: 'gateway' });
    const { args, environment, pathOf } = await containerSurroundings(t, objects, secrets);
    const { config } = loadConfig({ environment, flags: args.slice(1), terminal: false });
    const { secretFile = '' } = config.spinnaker.tokens;
    return { objects, config, pathOf, secretFile, url: config.spinnaker.clouddriver.url };
  };
  const one = await settingsOf(gatewayRows['Spinnaker without a plugin']);
  t.equal(one.url, 'http://spin-clouddriver.spinnaker:7002');
  t.equal(one.secretFile, one.pathOf('/etc/agent-gateway/secrets/account-tokens/secrets'));
  const secret = objectOf(one.objects, 'Secret');
  const written = Buffer.from(secret.data!['secrets']!, 'base64').toString();
  t.equal(parseSharedSecrets(written).length, 1, 'it can sign');
  t.equal(secret.metadata.annotations?.['helm.sh/resource-policy'], 'keep');
  const mounts = podOf(one.objects).volumes!.map((volume) => volume.secret?.secretName);
  t.ok(mounts.includes(secret.metadata.name));
  t.equal(one.config.server.ssl.trustCertCollection, one.pathOf('/etc/agent-gateway/tls/rest/ca.crt'));
  const service = objectOf(one.objects, 'Service', /^(?!.*grpc$)/);
  t.equal(one.config.kubesvc.kubernetesApi.publicUrl, `https://${service.metadata.name}.gateway:7002`);
  t.match(JSON.stringify(objectOf(one.objects, 'NetworkPolicy')), '"kubernetes.io/metadata.name":"spinnaker"');

  const other = await settingsOf(gatewayRows['Spinnaker elsewhere']);
  t.equal(other.url, 'https://spin-clouddriver-rw.cd:7002');
  t.equal(other.secretFile, other.pathOf('/etc/agent-gateway/secrets/account-tokens/keys'));
  t.notOk(other.objects.some(({ kind }) => kind === 'Secret'));

  const { 'Spinnaker without a plugin': row } = gatewayRows;
  const auth = {
    tokens: { file: '/etc/agent-gateway/auth/tokens.yml' },
    policyFile: '/etc/agent-gateway/auth/callers.yml',
  };
  const byConfig = await settingsOf({
    ...row,
    config: {
      ...row.config,
      server: { auth: { ...auth, instances: { secretFile: '/etc/agent-gateway/auth/instances' } } },
      kubesvc: { kubernetesApi: { publicUrl: 'https://gateway.example.com' } },
      spinnaker: { configServer: { enabled: true } },
    },
    auth: { existingSecret: 'auth' },
  });
  t.equal(byConfig.url, undefined, 'Clouddriver reads the accounts instead');
  t.equal(byConfig.config.kubesvc.kubernetesApi.publicUrl, 'https://gateway.example.com');
});

test('a changed configuration replaces the pods', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  const annotation = async (size: string) => {
    const values = { config: { sql: { url: 'mysql://h/d', user: 'u' }, server: { maxBodySize: size } } };
    return objectOf(await render(tools, chart, values), 'Deployment').spec!.template.metadata!.annotations;
  };
  t.notSame(await annotation('4MB'), await annotation('5MB'));
  t.same(await annotation('4MB'), await annotation('4MB'));
});

const refusals: readonly (readonly [values: Values, sentence: RegExp])[] = [
  [{}, /config\.sql\.url is missing/],
  [{ config: { kubesvc: { cluster: 'local' } } }, /one replica alone/],
  [{ config: { kubesvc: { cluster: 'none' } }, replicaCount: 1, autoscaling: { enabled: true } }, /one replica alone/],
  [{ terminationGracePeriodSeconds: 39 }, /expected at least 40/],
  [
    { config: { kubesvc: { drain: { timeoutMs: 60_001 } } }, terminationGracePeriodSeconds: 70 },
    /expected at least 71/,
  ],
  [{ autoscaling: { keda: { enabled: true } } }, /needs autoscaling\.enabled/],
  [{ autoscaling: { enabled: true, cpuUtilization: null } }, /at least one of/],
  [{ autoscaling: { enabled: true, minReplicas: 20 } }, /minReplicas is more/],
  [{ autoscaling: { enabled: true, agentsPerReplica: 9, keda: { enabled: true } } }, /prometheusAddress is missing/],
  [{ serviceAccount: { create: false } }, /serviceAccount\.name/],
  [{ grpc: { tls: { certManager: { enabled: true } } } }, /grpc\.tls\.existingSecret is missing/],
  [{ rest: { tls: { existingSecret: 'x', certManager: { enabled: true } } } }, /issuerRef is missing/],
  [{ grpc: { tls: { existingSecret: 'x', trustKey: '', clientAuth: 'REQUIRE' } } }, /grpc\.tls\.trustKey is missing/],
  [{ rest: { tls: { existingSecret: 'x', clientAuth: 'REQUIRE' } } }, /at '\/rest\/tls\/clientAuth'/],
  [{ config: { server: { ssl: { clientAuth: 'require' } } } }, /would refuse the probes/],
  [{ spinnaker: { enabled: true } }, /spinnaker\.enabled needs TLS on port 7002/],
  [{ rest: { service: { name: 'gateway' } } }, /a name that starts with spin-clouddriver/],
  [{ replicas: 3 }, /additional properties 'replicas' not allowed/],
  [{ config: { kubesvc: { clutser: 'kubernetes' } } }, /additional properties 'clutser' not allowed/],
  [{ config: { sql: { password: 'hunter2' } } }, /at '\/config\/sql\/password'/],
  [{ config: { sql: { connectionPools: { default: { password: 'hunter2' } } } } }, /default\/password'/],
  [{ config: { redis: { connection: 'redis://:hunter2@redis:6379' } } }, /at '\/config\/redis\/connection'/],
  [{ config: { server: { port: 70_000 } } }, /at '\/config\/server\/port'/],
];

test('what cannot work is refused with a sentence', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  for (const [values, sentence] of refusals) {
    const args = Object.keys(values).length === 0 ? [] : ['--set', 'config.sql.url=mysql://mysql:3306/gateway'];
    await t.rejects(render(tools, chart, values, { args }), { message: sentence }, JSON.stringify(values));
  }
});
