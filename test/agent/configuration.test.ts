/** Reading the agent's configuration file. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import { parseAgentConfiguration, readConfigurationText } from '../../src/agent/configuration/read.js';

const least = 'kubernetes: {accounts: [{name: prod, serviceAccount: true}]}\n';
const parse = (text: string, environment: Record<string, string> = {}) =>
  parseAgentConfiguration(text, 'agent.yml', environment);

test('defaults are Armory’s', (t) => {
  const { configuration, warnings } = parse(least);
  t.match(configuration, {
    clouddriver: { grpc: 'spin-clouddriver-grpc:9091', insecure: true, backoff: { baseDelay: 1e9, multiplier: 1.6 } },
    kubernetes: { accounts: [{ name: 'prod', serviceAccount: true, namespaces: [] }], retries: { maxRetries: 3 } },
    server: { host: 'localhost', port: 8082 },
    logging: { level: 'info' },
  });
  t.strictSame(warnings, []);
  t.end();
});

test('every problem is named at once, with the nearest key', (t) => {
  const text = `
kubernetes:
  retires: {}
  accounts:
  - {name: a, serviceAccount: true, kubeConfigFile: /x}
  - {serviceAccount: true, namespace: [a]}
clouddriver: {keepAliveHeartbeatSeconds: soon, tls: {clientKeyFile: /c}}
logging: {level: loud}
`;
  const expected = [
    'kubernetes.retires: no such setting; did you mean kubernetes.retries?',
    'kubernetes.accounts[0]: expected either serviceAccount: true or a kubeConfigFile',
    'kubernetes.accounts[1].name: expected text, found nothing',
    'kubernetes.accounts[1].namespace: no such setting; did you mean kubernetes.accounts[1].namespaces?',
    'clouddriver.keepAliveHeartbeatSeconds: expected a number from 0 to 3600, found "soon" (agent.yml:7)',
    'clouddriver.tls.clientCertFile: expected the certificate for clouddriver.tls.clientKeyFile',
    'logging.level: expected one of trace, debug, info, warn, error, fatal, found "loud"',
  ];
  try {
    parse(text);
    t.fail('it was taken');
  } catch (error) {
    for (const problem of expected) t.match((error as Error).message, problem);
    t.match((error as Error).message, 'kubernetes.accounts[1].name: expected text, found nothing (agent.yml:6)');
  }
  t.throws(() => parse('{}'), /kubernetes.accounts: expected at least one account/);
  t.throws(() => parse('a: ['), { code: 'configuration' });
  t.throws(() => parse('clouddriver: 5\nkubernetes: [a]\n'), {
    message: /clouddriver: expected a section with keys below it, found 5 \(agent.yml:1\)/,
  });
  t.throws(() => readConfigurationText('/no/such/file'), /cannot be read/);
  t.end();
});

test('secrets come from files and variables, and are never quoted', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'agent-configuration-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  writeFileSync(join(directory, 'token'), 'hunter2\n');
  const token = (value: string): string => `${least}clouddriver: {auth: {token: ${value}}}`;
  t.equal(parse(token(`file:${directory}/token`)).configuration.clouddriver.auth.token, 'hunter2');
  t.equal(parse(token('env:TOKEN'), { TOKEN: 'hunter3' }).configuration.clouddriver.auth.token, 'hunter3');
  t.throws(() => parse(token('env:TOKEN')), /clouddriver.auth.token: the variable TOKEN is not set/);
  try {
    parse(token('[hunter2]'));
    t.fail('it was taken');
  } catch (error) {
    t.notOk((error as Error).message.includes('hunter2'));
  }
  t.end();
});

test('what Armory’s agent has and this one does not is one warning', (t) => {
  const { warnings } = parse(`${least}pprof: {enabled: true}\nsecrets: {vault: {enabled: true}}\n`);
  t.same(warnings, [
    'no effect here: pprof (Node.js has its own inspector), secrets (secrets are read from files or variables: file:/PATH, env:NAME)',
  ]);
  t.equal(parse('dynamicAccounts: {enabled: "true"}').configuration.dynamicAccounts.enabled, true);
  t.end();
});

test('YAML is read as kubectl reads it: anchors, merges, octal numbers, yes and no', (t) => {
  const { configuration } = parse(`
kubernetes:
  accounts:
  - &account {name: a, serviceAccount: yes, namespaces: &namespaces [shop]}
  - {<<: *account, name: b}
  - {name: c, serviceAccount: on, namespaces: *namespaces}
server: {port: 017622}
---
`);
  t.match(configuration, {
    kubernetes: { accounts: ['a', 'b', 'c'].map((name) => ({ name, serviceAccount: true, namespaces: ['shop'] })) },
    server: { port: 8082 },
  });
  t.end();
});
