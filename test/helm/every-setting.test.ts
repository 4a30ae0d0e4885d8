/** Every setting of the programs, set below `config:`, gets through Helm (schema, numbers, quoting) as it was meant. */

import { test } from 'tap';
import Type, { type TSchema } from 'typebox';
import { parseAgentConfiguration } from '../../src/agent/configuration/read.js';
import { agentSchema } from '../../src/agent/configuration/schema.js';
import { formatBytes, leaves, type Leaf } from '../../src/gateway/config/leaves.js';
import { resolveValues } from '../../src/gateway/config/values.js';
import { parseYaml } from '../../src/gateway/config/yaml.js';
import { objectOf, render, toolsOrSkip } from './rendering.js';

type Tree = Record<string, unknown>;

function put(root: Tree, key: string, value: unknown): void {
  const path = key.split('.');
  const last = path.pop()!;
  let node = root;
  for (const name of path) node = (node[name] ??= {}) as Tree;
  node[last] = value;
}

/** What the chart itself does not take, or the files of secrets, which are not there. */
const special: Readonly<Record<string, unknown>> = {
  'kubesvc.cluster': 'kubernetes',
  'server.ssl.clientAuth': 'OPTIONAL',
  'instance.baseUrl': 'http://10.0.0.7:7002',
  'sql.url': 'postgresql://db.example.com:5432/gateway',
  'sql.migration.url': 'mysql://db.example.com:3306/gateway',
  'kubesvc.grpc.auth.tokens.jwt.jwksUrl': 'https://issuer.example.com/keys',
  'server.auth.tokens.jwt.jwksUrl': 'https://issuer.example.com/keys',
  'redis.connection': 'rediss://redis.example.com:6379/1',
  'kubesvc.kubernetesApi.publicUrl': 'https://gateway.example.com:7002/kubernetes-api',
  'tracing.endpoint': 'http://collector:4318/v1/traces',
  'kubesvc.dynamicAccounts.clouddriverUrl': 'http://spin-clouddriver:7002',
  'kubesvc.cluster-kubernetes.clouddriverServiceNamePrefix': 'spin-gateway',
  'kubesvc.cluster-kubernetes.httpPortName': 'REST',
  'spinnaker.clouddriver.url': 'http://spin-clouddriver:7002',
  'spinnaker.configServer.refresh.urls': ['http://spin-clouddriver-pods.spinnaker:7002', 'https://10.0.0.9:7002/base'],
  'kubesvc.cluster-static.instances': ['http://10.0.0.7:7002', 'http://10.0.0.8:7002'],
};

/** A value that is written, and what it means; the largest number, other than the default. */
function sample(leaf: Leaf): { readonly written: unknown; readonly meant: unknown } {
  const same = (value: unknown) => ({ written: value, meant: value });
  const limits = leaf.schema as { readonly minimum?: number; readonly maximum?: number };
  if (leaf.key in special) return same(special[leaf.key]);
  switch (leaf.kind) {
    case 'boolean':
      return same(leaf.default !== true);
    case 'integer':
    case 'number':
      return same(limits.maximum);
    case 'bytes':
      return { written: formatBytes(limits.maximum!), meant: limits.maximum };
    case 'choice':
      return same(leaf.choices.at(-1));
    case 'list': {
      const { items } = leaf.schema as unknown as { readonly items: { readonly enum?: readonly string[] } };
      return same([items.enum?.at(-1) ?? 'yes', items.enum?.at(0) ?? '1e3']);
    }
    case 'text':
      // What YAML would take for something else if it were not quoted.
      return same('0x1F');
  }
}

test('of the gateway', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  const config: Tree = {};
  const plain = [...leaves.values()].filter(({ secret }) => secret !== true);
  for (const leaf of plain) put(config, leaf.key, sample(leaf).written);
  const objects = await render(tools, 'agent-gateway', { config });
  const file = objectOf(objects, 'ConfigMap').data!['gateway.yml']!;
  const { values, problems } = resolveValues(parseYaml(file, 'gateway.yml', (key) => leaves.has(key)));
  t.same(problems, []);
  for (const leaf of plain) t.strictSame(values.get(leaf.key)?.value, sample(leaf).meant, leaf.key);
});

function agentSample(schema: TSchema): unknown {
  const { maximum, secret } = schema as { readonly maximum?: number; readonly secret?: boolean };
  if (Type.IsObject(schema) && Object.keys(schema.properties).length > 0) {
    const properties = Object.entries<TSchema>(schema.properties);
    return Object.fromEntries(properties.map(([name, child]) => [name, agentSample(child)]));
  }
  if (Type.IsArray(schema)) {
    if (Type.IsObject(schema.items)) return [agentSample(schema.items)];
    return Type.IsString(schema.items) ? ['yes', '1e3'] : [];
  }
  if (Type.IsUnion(schema)) return { READ: ['yes', '1e3'] };
  if (Type.IsBoolean(schema)) return (schema as { readonly default?: boolean }).default !== true;
  if (Type.IsEnum(schema)) return schema.enum.at(-1);
  if (maximum !== undefined) return maximum;
  if (Type.IsString(schema)) return secret === true ? 'env:SECRET' : '0x1F';
  return { field: 'on' };
}

test('of the agent', async (t) => {
  const tools = await toolsOrSkip(t);
  if (tools === undefined) return;
  const config = agentSample(agentSchema) as {
    clouddriver: { auth: Tree; grpc: string };
    kubernetes: { accounts: Tree[] };
  };
  // Rules between settings: one way to the cluster, one token.
  Reflect.deleteProperty(config.kubernetes.accounts[0]!, 'kubeConfigFile');
  config.clouddriver.auth = { token: 'env:SECRET' };
  config.clouddriver.grpc = 'gateway:9091';
  const objects = await render(tools, 'agent', { config });
  const file = objectOf(objects, 'ConfigMap').data!['agent.yml']!;
  const { configuration } = parseAgentConfiguration(file, 'agent.yml', { SECRET: 'hunter2' });
  const expected = JSON.parse(JSON.stringify(config).replaceAll('env:SECRET', 'hunter2')) as object;
  t.match(configuration, expected);
});
