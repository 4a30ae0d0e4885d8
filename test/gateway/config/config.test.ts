/** The configuration as a whole: defaults, precedence of sources, what a pasted Clouddriver profile becomes. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { loadConfig, redacted } from '../../../src/gateway/config/config.js';
import { documentation } from '../../../src/gateway/config/documentation.js';
import { aliases, unused } from '../../../src/gateway/config/foreign.js';
import { leaves } from '../../../src/gateway/config/leaves.js';
import { uniform } from '../../../src/gateway/config/spelling.js';
import { withoutCredentials } from '../../../src/gateway/config/url.js';

const fixtures = new URL('../../fixtures/config/', import.meta.url);
const bare = { environment: {}, flags: [], terminal: false };

function fileWith(t: Test, content: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'config-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  const file = join(directory, 'gateway.yml');
  writeFileSync(file, content);
  return file;
}

test('without any setting, one local instance with an embedded database', (t) => {
  const { config, warnings } = loadConfig(bare);
  t.same(warnings, []);
  t.equal(config.kubesvc.cluster, 'local');
  t.equal(config.sql.url, 'pglite:memory');
  t.equal(config.instance.id, hostname());
  t.equal(config.instance.baseUrl, 'http://127.0.0.1:7002');
  t.equal(config.server.address, '127.0.0.1');
  t.equal(config.kubesvc.grpc.server.address, '127.0.0.1', 'agents prove nothing by default: none from elsewhere');
  t.equal(config.kubesvc.drain.endpointRemovalMs, 0);
  t.equal(config.kubesvc.grpc.server.maxInboundMessageSize, 4 * 1024 * 1024);
  t.equal(config.logging.format, 'json');
  t.equal('connection' in config.redis, false);
  t.end();
});

test('the result is frozen to its leaves, and shares nothing with the next one', (t) => {
  const { config } = loadConfig(bare);
  t.ok(Object.isFrozen(config.kubesvc.grpc.server.security));
  t.ok(Object.isFrozen(config.kubesvc.cache.cacheKinds));
  t.not(loadConfig(bare).config.kubesvc.cache.cacheKinds, config.kubesvc.cache.cacheKinds);
  t.end();
});

test('defaults in a pod of a cluster', (t) => {
  const environment = { POD_NAME: 'gateway-7', POD_IP: 'fd00::7', AGENT_GATEWAY_KUBESVC_CLUSTER: 'kubernetes' };
  const flags = ['--sql.url=mysql://u@db/x', '--redis.connection', 'redis://r', '--server.ssl.enabled'];
  const auth = ['--server.auth.tokens.file=/t', '--server.auth.policyFile=/p', '--server.auth.instances.secretFile=/s'];
  const tls = ['--server.ssl.certificateChain=/tls.crt', '--server.ssl.privateKey=/tls.key'];
  const { config, warnings } = loadConfig({ environment, flags: [...flags, ...tls, ...auth], terminal: true });
  t.same(warnings, []);
  t.same(config.instance, { id: 'gateway-7', baseUrl: 'https://[fd00::7]:7002' });
  t.equal(config.server.address, '*');
  t.equal(config.kubesvc.grpc.server.address, '*');
  t.equal(config.server.auth.anonymousRole, 'none');
  t.equal(config.kubesvc.drain.endpointRemovalMs, 3000);
  t.equal(config.logging.format, 'text');
  t.end();
});

test('flags win over the environment, and that over the file', (t) => {
  const file = fileWith(
    t,
    'server: {port: 1001}\nkubesvc: {grpc: {server: {port: 1002, address: a}}}\nlogging.level: WARN\n',
  );
  const environment = { AGENT_GATEWAY_SERVER_PORT: '2001', AGENT_GATEWAY_KUBESVC_GRPC_SERVER_PORT: '2002' };
  const { config } = loadConfig({ file, environment, flags: ['--server.port', '3001'] });
  t.equal(config.server.port, 3001);
  t.equal(config.kubesvc.grpc.server.port, 2002);
  t.equal(config.kubesvc.grpc.server.address, 'a');
  t.equal(config.logging.level, 'warn');
  t.end();
});

test('a setting by another name in one source gives way to its own name in a later one', (t) => {
  const file = fileWith(t, 'sql: {connectionPools: {default: {maxPoolSize: 7}}}\n');
  t.equal(loadConfig({ ...bare, file }).config.sql.maxPoolSize, 7);
  t.equal(loadConfig({ ...bare, file, flags: ['--sql.maxPoolSize=8'] }).config.sql.maxPoolSize, 8);
  t.end();
});

test('the file is named by the caller, by --config or by a variable', (t) => {
  const [one, two, three] = [5001, 5002, 5003].map((port) => fileWith(t, `server.port: ${String(port)}`));
  const environment = { AGENT_GATEWAY_CONFIG: three };
  t.equal(loadConfig({ environment, flags: [] }).config.server.port, 5003);
  t.equal(loadConfig({ environment, flags: ['--config', two ?? ''] }).config.server.port, 5002);
  t.equal(loadConfig({ file: one ?? '', environment, flags: [`--config=${two ?? ''}`] }).config.server.port, 5001);
  t.equal(loadConfig({ environment: { AGENT_GATEWAY_CONFIG: '' }, flags: [] }).config.server.port, 7002);
  t.end();
});

test('an empty file and empty sections are no settings', (t) => {
  for (const content of ['', '# nothing\n', '---\n', 'kubesvc:\nsql:\n  password:\n', 'redis: {}']) {
    t.same(loadConfig({ ...bare, file: fileWith(t, content) }).config, loadConfig(bare).config, content);
  }
  t.end();
});

test('text of every source is read by the type of its setting', (t) => {
  const environment = {
    AGENT_GATEWAY_KUBESVC_CACHE_CACHEKINDS: 'Pod, Job',
    AGENT_GATEWAY_KUBESVC_GRPC_SERVER_MAXINBOUNDMESSAGESIZE: '512kb',
    AGENT_GATEWAY_KUBESVC_CLUSTERREDIS_TIMETOLIVESECONDS: '5',
    AGENT_GATEWAY_KUBESVC_CACHE_CACHEALL: 'TRUE',
    AGENT_GATEWAY_KUBESVC_GRPC_AUTH_X509_FILTERS: '',
    AGENT_GATEWAY_SQL_PASSWORD: '0123',
  };
  const flags = ['--kubesvc.cluster', 'NONE', '--kubesvc.dynamicAccounts.enabled', '--server.maxBodySize=2048'];
  const { config } = loadConfig({ environment, flags });
  t.same(config.kubesvc.cache.cacheKinds, ['Pod', 'Job']);
  t.equal(config.kubesvc.grpc.server.maxInboundMessageSize, 512 * 1024);
  t.equal(config.kubesvc['cluster-redis'].timeToLiveSeconds, 5);
  t.equal(config.kubesvc.cache.cacheAll, true);
  t.same(config.kubesvc.grpc.auth.x509.filters, []);
  t.equal(config.sql.password, '0123');
  t.equal(config.kubesvc.cluster, 'local');
  t.equal(config.kubesvc.dynamicAccounts.enabled, true);
  t.equal(config.server.maxBodySize, 2048);
  t.end();
});

test('what Kubernetes sets for Services named agent-gateway... is not taken for settings', (t) => {
  const environment = {
    AGENT_GATEWAY_PORT: 'tcp://10.0.0.1:7002',
    AGENT_GATEWAY_PORT_7002_TCP_ADDR: '10.0.0.1',
    AGENT_GATEWAY_SERVICE_HOST: '10.0.0.1',
    AGENT_GATEWAY_SERVICE_PORT_HTTP: '7002',
    AGENT_GATEWAY_GRPC_PORT_9091_TCP: 'tcp://10.0.0.2:9091',
    AGENT_GATEWAY_SERVER_PORT: 'tcp://10.0.0.3:80',
    REDIS_PORT: 'tcp://10.0.0.4:6379',
    KUBESVC_CLUSTER: 'no-such-kind',
  };
  t.same(loadConfig({ ...bare, environment }), loadConfig(bare));
  t.end();
});

test('a secret may be the content of a file', (t) => {
  const file = fileWith(t, ' hunter2\n');
  const { config } = loadConfig({
    ...bare,
    flags: [`--sql.password=file:${file}`, '--redis.password', `file://${file}`],
  });
  t.equal(config.sql.password, 'hunter2');
  t.equal(config.redis.password, 'hunter2');
  t.end();
});

test('anchors and merge keys of YAML are resolved', (t) => {
  const file = fileWith(
    t,
    'kubesvc:\n  instances: {heartbeatMs: &beat 1500, leaseMs: 4000}\n  drain:\n    <<: {timeoutMs: 20000}\n    reconnectSpreadMs: *beat\n',
  );
  const { config } = loadConfig({ ...bare, file });
  t.equal(config.kubesvc.drain.timeoutMs, 20000);
  t.equal(config.kubesvc.drain.reconnectSpreadMs, 1500);
  t.end();
});

test('a Clouddriver profile with the plugin can be pasted', (t) => {
  const file = new URL('clouddriver.yml', fixtures).pathname;
  const { config, warnings } = loadConfig({ ...bare, file, flags: ['--server.auth.anonymousRole=admin'] });
  t.equal(config.kubesvc.cluster, 'kubernetes');
  t.equal(config.kubesvc['cluster-kubernetes'].namespace, 'spinnaker');
  t.notOk('kubeconfigFile' in config.kubesvc['cluster-kubernetes']);
  const { grpc, jobs } = config.kubesvc;
  t.equal(grpc.server.keepAliveTimeMs, 20_000);
  t.equal(grpc.server.keepAliveTimeoutMs, 10_000);
  t.same(grpc.server.security.protocols, ['TLSv1.2', 'TLSv1.3']);
  t.equal(jobs['operation-history'].purge.weeks, 2);
  t.match(config.sql, {
    url: 'mysql://mysql.example.com:3306/clouddriver',
    user: 'clouddriver_service',
    password: 'hunter2',
    maxPoolSize: 30,
    migration: { url: 'mysql://mysql.example.com:3306/clouddriver', user: 'clouddriver_migrate', password: 'hunter3' },
  });
  t.equal(warnings.length, new Set(warnings).size);
  t.same(
    warnings.map((warning) => warning.split(':', 1)[0]),
    [
      'spinnaker.extensibility',
      'kubesvc.credentials.poller.reloadFrequencyMs',
      'kubesvc.disableV2Provider',
      'kubesvc.dynamicAccounts.interceptor.enabled',
      'kubesvc.heartbeat.period',
      'kubesvc.heartbeat.periodUnit',
      'kubesvc.runtime',
      'kubesvc.v2-cache-eviction',
      'sql.enabled',
      'sql.taskRepository',
      'sql.cache',
      'sql.scheduler',
      'sql.connectionPools.default.default',
      'sql.connectionPools.default.jdbcUrl',
      'sql.connectionPools.default.minIdle',
      'sql.connectionPools',
      'redis.enabled',
      'redis.scheduler',
      'server.auth.anonymousRole',
    ],
  );
  t.end();
});

interface Option {
  readonly key: string;
  readonly type: string;
  readonly default: string;
}

/** The rows of the reference's table; one row may name several options, with types and defaults side by side. */
function referenceOptions(): Option[] {
  const page = readFileSync(new URL('armory-plugin-options.md', fixtures), 'utf8');
  const rows = page.split('\n').flatMap((line): Option[] => {
    const [, names = '', types = '', defaults = ''] = line.split('|').map((cell) => cell.trim());
    const keys = [...names.matchAll(/`([^`]+)`/g)].map(([, key = '']) => key);
    const split = (cell: string) => (keys.length === 1 ? [cell] : cell.split(/[ /]/));
    return keys.map((key, index) => ({ key, type: split(types)[index] ?? '', default: split(defaults)[index] ?? '' }));
  });
  const prose = page.slice(page.indexOf('Also named in release notes:'));
  const named = [...prose.matchAll(/`([^`]+)`/g)].flatMap(([, text = '']) => {
    const [, before = text, inner = ''] = /^(.*)\{(.*)\}$/.exec(text) ?? [];
    return (inner === '' ? [text] : inner.split(',').map((name) => before + name)).map((part): Option => {
      const [key = '', value = ''] = part.split('=');
      return { key, type: '', default: value };
    });
  });
  return [...rows, ...named];
}

/** A value that is right for the option, as text. */
function sample(option: Option): string {
  const target = aliases.get(option.key)?.key ?? option.key;
  const leaf = leaves.get(target);
  if (leaf?.kind === 'choice') return leaf.choices[0] ?? '';
  if (leaf?.kind === 'boolean') return 'false';
  if (leaf?.kind === 'integer') return aliases.has(option.key) ? '3' : String(leaf.default);
  if (leaf?.kind === 'bytes') return '4MB';
  if (target.endsWith('cron')) return option.default;
  if (target.endsWith('x509.filters')) return 'CN=agent';
  if (target.endsWith('onlySpinnakerManaged')) return 'false';
  return target.endsWith('protocols') ? 'TLSv1.3' : 'some-text';
}

test("every option of the plugin's reference is accepted, in the file and by variable", (t) => {
  const options = referenceOptions();
  t.ok(options.length > 60, `${String(options.length)} options found in the reference`);
  for (const option of options) {
    const key = option.key.replace('[string]', '.some').replace('[].', '.').replace('[]…', '');
    const { warnings } = loadConfig({ ...bare, file: fileWith(t, `${key}: ${sample(option)}\n`) });
    const used = leaves.has(key) || aliases.has(key);
    const own = warnings.filter((warning) => warning.includes('has no effect, '));
    t.equal(own.length, used ? 0 : 1, key);
    const variable = `AGENT_GATEWAY_${key.replaceAll('-', '').replaceAll('.', '_').toUpperCase()}`;
    if (used) t.doesNotThrow(() => loadConfig({ ...bare, environment: { [variable]: sample(option) } }), variable);
  }
  t.end();
});

test("the defaults are those of the plugin's reference", (t) => {
  let compared = 0;
  for (const option of referenceOptions()) {
    const leaf = leaves.get(option.key);
    if (leaf === undefined || leaf.derived !== undefined || option.default === '') continue;
    const [word = ''] = option.default.split(' ');
    const absent = option.default === 'none' || option.default === 'null';
    const expected = absent ? (leaf.choices.length > 0 ? 'local' : undefined) : word;
    const shown = documentation()
      .find(({ key }) => key === option.key)
      ?.default.replaceAll('`', '');
    if (option.key === 'kubesvc.cache.cacheDefaults') t.equal(shown, option.default);
    else if (leaf.kind === 'list') t.same(leaf.default, [], option.key);
    else t.equal(shown === '' ? undefined : shown, expected, option.key);
    compared += 1;
  }
  t.ok(compared > 30, `${String(compared)} compared`);
  t.end();
});

test('what is meant by a dash may be written in camel case', (t) => {
  const file = fileWith(t, 'kubesvc: {clusterKubernetes: {namespace: spinnaker}, v2CacheEviction: {millis: 3}}\n');
  const { config, warnings } = loadConfig({ ...bare, file });
  t.equal(config.kubesvc['cluster-kubernetes'].namespace, 'spinnaker');
  t.match(warnings, [/^kubesvc\.v2-cache-eviction: has no effect/]);
  t.end();
});

test('no secret is left in a redacted configuration, and hosts are', (t) => {
  const file = new URL('clouddriver.yml', fixtures).pathname;
  const { config } = loadConfig({
    ...bare,
    file,
    flags: ['--server.ssl.privateKeyPassword=hunter5', '--server.auth.anonymousRole=admin'],
  });
  const shown = redacted(config);
  t.notMatch(JSON.stringify(shown), /hunter/);
  t.equal(shown.sql.password, '***');
  t.equal(shown.redis.connection, 'redis://redis.example.com:6379');
  t.same(Object.keys(shown), Object.keys(config));
  t.ok(Object.isFrozen(shown));
  t.end();
});

test('a URL is shown only when it is certain where its credentials end', (t) => {
  t.equal(withoutCredentials('mysql://u:p@h:1/db?password=x'), 'mysql://h:1/db');
  t.equal(withoutCredentials('rediss://h'), 'rediss://h');
  t.equal(withoutCredentials('pglite:/data'), 'pglite:/data');
  for (const url of ['mysql://u:p@ss@h/db', 'mysql://u:p/w@h/db', 'mysql://u:p#w@h/db', 'mysql://u:p?w@h/db']) {
    t.equal(withoutCredentials(url), '***', url);
  }
  t.end();
});

test('every setting is described, and no key has two meanings', (t) => {
  const rows = documentation();
  t.equal(rows.length, leaves.size);
  for (const { key, description, type } of rows) t.ok(description.endsWith('.') && type !== '', key);
  t.equal(new Set(rows.map(({ environmentVariable }) => environmentVariable)).size, rows.length);
  for (const key of aliases.keys()) t.notOk(leaves.has(key) || unused.has(key), key);
  for (const key of unused.keys()) t.notOk(leaves.has(key), key);
  for (const { key } of aliases.values()) t.ok(leaves.has(key), key);
  const spelled = [...leaves.keys(), ...unused.keys()];
  t.equal(new Set(spelled.map(uniform)).size, spelled.length, 'no two keys are one to relaxed binding');
  t.end();
});
