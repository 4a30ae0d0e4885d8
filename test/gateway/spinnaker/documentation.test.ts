/** docs/spinnaker.md: its steps, followed as they stand there, with doubles in the place of Clouddriver. */

import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { credentials } from '@grpc/grpc-js';
import { test, type Test } from 'tap';
import { parse, stringify } from 'yaml';
import { parseAgentConfiguration } from '../../../src/agent/configuration/read.js';
import { leaves, sections } from '../../../src/gateway/config/leaves.js';
import { freePort } from '../../free-port.js';
import { waitFor } from '../../wait.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway } from '../running-gateway.js';
import { Authority } from '../security/authority.js';
import { bind, startConfigClient, type BoundAccount } from './config-client-double.js';
import { CredentialsDouble } from './credentials-double.js';

const file = fileURLToPath(new URL('../../../docs/spinnaker.md', import.meta.url));
const page = readFileSync(file, 'utf8');
const run = promisify(execFile);

/** The blocks of a language, in their order, without what lists indent them by. */
function blocks(language: string): readonly string[] {
  return [...page.matchAll(/^( *)```(\w+)\n(.*?)^ *```/gmsu)]
    .filter(([, , name]) => name === language)
    .map(([, indent = '', , text = '']) => text.replaceAll(new RegExp(`^${indent}`, 'gmu'), ''));
}

/** The YAML block whose first line begins so. */
function yamlOf(title: string): Readonly<Record<string, unknown>> {
  const found = blocks('yaml').filter((text) => text.startsWith(`# ${title}\n`));
  if (found.length !== 1) throw new Error(`${found.length} blocks "${title}"`);
  return parse(found[0] ?? '') as Readonly<Record<string, unknown>>;
}

function merged(one: unknown, other: unknown): unknown {
  if (!isSection(one) || !isSection(other)) return other ?? one;
  const names = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  return Object.fromEntries(names.map((name) => [name, merged(one[name], other[name])]));
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A directory with what the steps need: certificates, and the files that the commands make. */
async function prepared(t: Test) {
  const directory = t.testdir({});
  const authority = new Authority(t);
  const issued = authority.issue({ subject: '/CN=gateway', alternativeNames: 'DNS:localhost,IP:127.0.0.1' });
  for (const [name, path] of [
    ['ca.crt', authority.certificate],
    ['tls.crt', issued.certificate],
    ['tls.key', issued.key],
  ] as const)
    writeFileSync(join(directory, name), authority.read(path));
  const [script = ''] = blocks('sh').filter((text) => text.includes('token-secrets'));
  await run('bash', ['-ec', script], { cwd: directory });
  return directory;
}

/** Starts a gateway with the settings of the page, whose files are in the directory. */
async function follow(t: Test, directory: string, settings: unknown, clouddriver: string) {
  const port = await freePort();
  const written = stringify(settings)
    .replaceAll(/: (token-secrets|ca\.crt|tls\.crt|tls\.key|tokens\.yml|callers\.yml)$/gmu, `: ${directory}/$1`)
    .replaceAll(/http:\/\/spin-clouddriver(?:-pods)?\.spinnaker:7002/gu, clouddriver)
    .replaceAll('gateway.example.com:7002', `localhost:${port}`);
  const path = join(directory, 'gateway.yml');
  writeFileSync(path, written);
  const gateway = await startGateway(t, { config: path, 'server.port': port });
  await RawAgent.register(
    t,
    gateway.agentsAddress,
    {
      agentId: 'eu',
      accounts: [{ name: 'prod-eu', kubeVersion: 'v1.35.0', properties: { kubernetesApi: 'full' } }],
    },
    credentials.createInsecure(),
  );
  return { gateway, port };
}

test('links and settings', (t) => {
  const links = [...page.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/gu)].map(([, link = '']) => link);
  t.ok(links.length >= 5, `${links.length}`);
  for (const link of links) t.ok(existsSync(join(dirname(file), link)), link);
  const settings = [...page.matchAll(/`((?:kubesvc|server|spinnaker)\.[\w.-]+?)[`:=]/gu)].map(([, key = '']) => key);
  t.ok(settings.length > 5);
  // Values of the chart, and an option of Armory's plugin.
  const others = ['spinnaker.enabled', 'spinnaker.extensibility.plugins.Armory.Kubesvc.enabled'];
  for (const key of settings) t.ok(leaves.has(key) || sections.has(key) || others.includes(key), key);
  t.equal((JSON.parse(blocks('json')[0] ?? '') as { stages: unknown[] }).stages.length, 1, 'the pipeline');
  for (const text of blocks('yaml')) t.ok(parse(text), 'YAML');
  t.end();
});

test('permissions in the configuration of an agent', (t) => {
  const { kubernetes } = yamlOf('agent.yml') as { kubernetes: unknown };
  const settings = { clouddriver: { grpc: 'gateway:9091', insecure: true }, kubernetes };
  const { configuration } = parseAgentConfiguration(stringify(settings), 'agent.yml', {});
  t.match(configuration.kubernetes.accounts[0], {
    name: 'prod-eu',
    apiAccess: 'full',
    namespaces: ['shop', 'payments'],
  });
  t.end();
});

test('accounts by the account store', async (t) => {
  const clouddriver = await new CredentialsDouble().start();
  t.teardown(() => clouddriver.stop());
  const directory = await prepared(t);
  await follow(
    t,
    directory,
    merged(yamlOf('gateway.yml'), { server: { auth: { anonymousRole: 'admin' } } }),
    clouddriver.url,
  );
  await waitFor(() => clouddriver.names.includes('prod-eu'));
  t.match(clouddriver.get('prod-eu')?.['kubeconfigContents'], '/kubernetes/accounts/prod-eu');
  t.equal(clouddriver.get('prod-eu')?.['checkPermissionsOnStartup'], false);
});

test('accounts by Spring Cloud Config', async (t) => {
  const directory = await prepared(t);
  const { spinnaker: { clouddriver: _, ...spinnaker } = {}, ...common } = yamlOf('gateway.yml') as {
    spinnaker?: Record<string, unknown>;
  };
  const settings = merged({ ...common, spinnaker }, yamlOf('gateway.yml, in place of spinnaker.clouddriver.url'));
  const clouddriverPort = await freePort();
  const { gateway, port } = await follow(t, directory, settings, `http://127.0.0.1:${clouddriverPort}`);

  // Step 3: the options of the JVM, and the password from the file.
  const options = blocks('yaml').find((text) => text.includes('JAVA_OPTS')) ?? '';
  const { env } = parse(options) as { env: Readonly<Record<string, string>> };
  const java = new Map(
    (env['JAVA_OPTS'] ?? '').split(/\s+/u).map((option) => {
      const [name = '', value = ''] = option.replace('-Dspring.cloud.config.', '').split('=');
      return [name, value] as const;
    }),
  );
  t.equal(java.get('enabled'), 'true');
  const uri = java.get('uri')?.replace(/\/\/[^:]+:7002/u, `//127.0.0.1:${port}`) ?? '';
  const password = readFileSync(join(directory, 'clouddriver-token'), 'utf8').trim();
  const authorization = Buffer.from(`${java.get('username') ?? ''}:${password}`).toString('base64');
  const clouddriver = await startConfigClient(t, {
    ...{ uri, port: clouddriverPort, ca: readFileSync(join(directory, 'ca.crt'), 'utf8') },
    headers: { authorization: `Basic ${authorization}` },
  });
  // Step 4: the gateway asks it.
  await waitFor(() => clouddriver.accounts.some(({ name }) => name === 'prod-eu'));
  await waitFor(() => clouddriver.refreshes.length > 0);

  const [command = ''] = blocks('sh').filter((text) => text.startsWith('curl --cacert'));
  const curl = command.replace('https://gateway.example.com:7002', `-sSf https://localhost:${port}`);
  const { stdout } = await run('bash', ['-ec', curl], { cwd: directory, maxBuffer: 64 << 20 });
  const accounts: readonly BoundAccount[] = bind(JSON.parse(stdout) as Parameters<typeof bind>[0]);
  t.same(
    accounts.map(({ name }) => name),
    ['prod-eu'],
  );
  t.match(accounts[0]?.kubeconfigContents, /certificate-authority-data/u, 'with the private CA');
  t.notMatch(JSON.stringify(gateway.log), password);
});
