/** What is said about a wrong configuration, word for word; and that no secret is ever part of it. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { GatewayError } from '../../../src/core/errors.js';
import { loadConfig, type ConfigSources } from '../../../src/gateway/config/config.js';

interface Wrong {
  readonly yaml?: string;
  readonly environment?: Record<string, string>;
  readonly flags?: readonly string[];
}

/** The error of a configuration, and its lines without the dashes in front. */
function problemsOf(t: Test, { yaml, environment = {}, flags = [] }: Wrong): { error: GatewayError; lines: string[] } {
  const directory = mkdtempSync(join(tmpdir(), 'config-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  const file = join(directory, 'gateway.yml');
  if (yaml !== undefined) writeFileSync(file, yaml);
  const sources: ConfigSources = { environment, flags, ...(yaml === undefined ? {} : { file }) };
  let error: unknown;
  try {
    loadConfig(sources);
  } catch (thrown) {
    error = thrown;
  }
  if (!(error instanceof GatewayError)) throw new Error(`expected a GatewayError for ${yaml ?? flags.join(' ')}`);
  t.equal(error.code, 'configuration');
  return { error, lines: error.message.split('\n').map((line) => line.replace(/^ {2}- /, '')) };
}

const cluster = [
  '--server.auth.anonymousRole=admin',
  '--kubesvc.cluster=kubernetes',
  '--sql.url=mysql://db/x',
  '--sql.user=u',
  '--redis.connection=redis://r',
];

const cases: [what: string, wrong: Wrong, message: string][] = [
  [
    'a port out of range, with its line',
    { yaml: 'server:\n  maxBodySize: 1MB\n  port: 70000\n' },
    'server.port: expected a whole number from 0 to 65535, found 70000 (gateway.yml:3)',
  ],
  [
    'text for a number',
    { environment: { AGENT_GATEWAY_SERVER_PORT: 'http' } },
    'server.port: expected a whole number from 0 to 65535, found "http" (AGENT_GATEWAY_SERVER_PORT)',
  ],
  [
    'a fraction',
    { flags: ['--sql.maxPoolSize', '1.5'] },
    'sql.maxPoolSize: expected a whole number from 1 to 1000, found "1.5" (--sql.maxPoolSize)',
  ],
  [
    'text for a boolean',
    { yaml: 'kubesvc: {grpc: {server: {security: {enabled: maybe}}}}' },
    'kubesvc.grpc.server.security.enabled: expected true or false, found "maybe" (gateway.yml:1)',
  ],
  [
    'another choice',
    { yaml: 'kubesvc:\n  cluster: consul' },
    'kubesvc.cluster: expected one of local, kubernetes, redis, static, found "consul" (gateway.yml:2)',
  ],
  [
    'a data size in words',
    { yaml: 'kubesvc.grpc.server.maxInboundMessageSize: 4 megabytes' },
    'kubesvc.grpc.server.maxInboundMessageSize: expected a data size such as 4MB, from 16KB to 256MB, found "4 megabytes" (gateway.yml:1)',
  ],
  [
    'a section for a value',
    { yaml: 'kubesvc:\n  cluster:\n    kind: redis\n' },
    'kubesvc.cluster: expected one of local, kubernetes, redis, static, found a section (gateway.yml:2)',
  ],
  [
    'a value for a section',
    { yaml: 'sql: pglite:memory' },
    'sql: expected a section with keys below it, found a single value (gateway.yml:1)',
  ],
  [
    'numbers where text is expected, because their notation would be lost',
    { yaml: 'redis:\n  keyPrefix: 0123' },
    'redis.keyPrefix: expected text, found 83; write it in quotes (gateway.yml:2)',
  ],
  [
    'a list with something else in it',
    { yaml: 'kubesvc:\n  cache:\n    cacheKinds:\n      - Pod\n      - 7\n' },
    'kubesvc.cache.cacheKinds: expected a list of text, found a list (gateway.yml:3)',
  ],
  [
    'a protocol that is not offered',
    { flags: ['--server.ssl.protocols=TLSv1.1'] },
    'server.ssl.protocols: expected a list of TLSv1.2, TLSv1.3, found "TLSv1.1" (--server.ssl.protocols)',
  ],
  [
    'a misspelt key',
    { yaml: 'kubesvc:\n  grpc:\n    server:\n      prot: 1\n' },
    'kubesvc.grpc.server.prot: no such setting; did you mean kubesvc.grpc.server.port? (gateway.yml:4)',
  ],
  [
    'a misspelt section',
    { yaml: 'kubsvc:\n  cluster: local\n' },
    'kubsvc.cluster: no such setting; did you mean kubesvc.cluster? (gateway.yml:2)',
  ],
  [
    'a misspelt option without effect',
    { flags: ['--kubesvc.disableV2Provder'] },
    '--kubesvc.disableV2Provder: expected a value after it',
  ],
  [
    'a misspelt key of the pool of connections, although pools as such have no effect',
    { yaml: 'sql: {connectionPools: {default: {jdbcUlr: x}}}' },
    'sql.connectionPools.default.jdbcUlr: no such setting; did you mean sql.connectionPools.default.jdbcUrl? (gateway.yml:1)',
  ],
  ['a key that is like none', { flags: ['--zzz=1'] }, 'zzz: no such setting (--zzz)'],
  [
    'a misspelt variable',
    { environment: { AGENT_GATEWAY_SQL_PASWORD: 'hunter2' } },
    'AGENT_GATEWAY_SQL_PASWORD: no such setting; did you mean AGENT_GATEWAY_SQL_PASSWORD?',
  ],
  ['an argument that is no flag', { flags: ['hunter2'] }, 'argument 1: expected --KEY=VALUE or --KEY VALUE'],
  ['a flag without its value', { flags: ['--server.port'] }, '--server.port: expected a value after it'],
  [
    'one setting by two names',
    { yaml: 'sql:\n  url: pglite:memory\n  connectionPool:\n    jdbcUrl: jdbc:mysql://a/b\n' },
    'sql.connectionPool.jdbcUrl: already set as sql.url (gateway.yml:2) (gateway.yml:4)',
  ],
  [
    'a placeholder of Spring',
    { yaml: 'redis:\n  connection: ${services.redis.baseUrl}\n' },
    'redis.connection: Spring placeholders (${...}) are not resolved here; write the value, or set an environment variable (gateway.yml:2)',
  ],
  [
    'an encrypted secret',
    { yaml: 'sql.password: encrypted:s3!b:bucket!f:secrets.yml!k:password' },
    "sql.password: Spinnaker's encrypted secrets are not decrypted here; mount the secret as a file and write file:/PATH (gateway.yml:1)",
  ],
  [
    'a secret in a file that is not there',
    { flags: ['--sql.password=file:/no/such/file'] },
    'sql.password: the file that it names cannot be read (ENOENT) (--sql.password)',
  ],
  [
    'the URL of another database, which may hold a password',
    { flags: ['--sql.url=oracle://scott:tiger@db'] },
    'sql.url: expected mysql://HOST:PORT/DATABASE, postgresql://HOST:PORT/DATABASE, pglite:memory or pglite:/DIRECTORY, found something else (not shown) (--sql.url)',
  ],
  [
    'a URL that is not of Redis',
    { yaml: 'redis.connection: localhost:6379' },
    'redis.connection: expected a URL that starts with redis:// or rediss://, found something else (not shown) (gateway.yml:1)',
  ],
  [
    'a base URL with a path',
    { flags: ['--instance.baseUrl=http://gateway/api'] },
    'instance.baseUrl: expected a URL without a path, such as http://10.0.0.7:7002, found "http://gateway/api" (--instance.baseUrl)',
  ],
  [
    'a file that is not there',
    { flags: ['--config=/no/such.yml'] },
    "--config: the file cannot be read: ENOENT: no such file or directory, open '/no/such.yml'",
  ],
  [
    'a bracket that is not closed',
    { yaml: 'kubesvc:\n  cluster: [local\n' },
    'gateway.yml:3:1: the indentation is wrong, or a bracket or quote before it is not closed',
  ],
  ['a tab', { yaml: 'kubesvc:\n\tcluster: local\n' }, 'gateway.yml:2:1: tabs cannot indent YAML; use spaces'],
  ['a key twice', { yaml: 'sql: {}\nredis: {}\nsql: {}\n' }, 'gateway.yml:3:1: this key appears twice'],
  [
    'two documents',
    { yaml: 'sql: {}\n---\nredis: {}\n' },
    'gateway.yml:2:1: expected a single document; remove the --- in between',
  ],
  ['a list at the top', { yaml: '- kubesvc\n' }, 'gateway.yml: expected a map of sections at the top level'],
  [
    'a lease that is too short for its heartbeat',
    { yaml: 'kubesvc:\n  instances:\n    leaseMs: 2000\n' },
    'kubesvc.instances.leaseMs: expected more than twice kubesvc.instances.heartbeatMs (1000), found 2000 (gateway.yml:3)',
  ],
  [
    'a drain that ends before agents were asked to leave',
    { flags: ['--kubesvc.drain.timeoutMs=9999'] },
    'kubesvc.drain.timeoutMs: expected at least kubesvc.drain.endpointRemovalMs and kubesvc.drain.reconnectSpreadMs together (0 + 10000), found 9999 (--kubesvc.drain.timeoutMs)',
  ],
  [
    'one agent with more operations than the instance',
    { flags: ['--kubesvc.operations.maxPending=10'] },
    'kubesvc.operations.maxPendingPerAgent: expected no more than kubesvc.operations.maxPending (10), found 1000',
  ],
  [
    'a default wait that no operation may ask for',
    { flags: ['--kubesvc.operations.maxTimeoutMs=1000'] },
    'kubesvc.cache.operationWaitMs: expected no more than kubesvc.operations.maxTimeoutMs (1000), found 30000',
  ],
  [
    'one port for both',
    { flags: ['--server.port=9091'] },
    'kubesvc.grpc.server.port: expected another port than server.port, found 9091 for both',
  ],
  [
    'certificates required, but none to check them against',
    {
      flags: [
        '--server.ssl.enabled',
        '--server.ssl.certificateChain=c',
        '--server.ssl.privateKey=k',
        '--server.ssl.clientAuth=REQUIRE',
      ],
    },
    'server.ssl.trustCertCollection: expected a PEM file, found nothing, with server.ssl.clientAuth: REQUIRE',
  ],
  [
    'identities by certificates that are never seen',
    { flags: ['--kubesvc.grpc.auth.x509.enabled'] },
    'kubesvc.grpc.auth.x509.enabled: expected TLS with clientAuth: REQUIRE or OPTIONAL on this port, found none: no client would present a certificate (--kubesvc.grpc.auth.x509.enabled)',
  ],
  [
    'a filter that is none',
    { flags: ['--kubesvc.grpc.auth.x509.filters=CN=a,O=b;agent'] },
    'kubesvc.grpc.auth.x509.filters: expected filters such as CN=agent,O=Acme or DNS:*.example.com, found "agent": expected TYPE=VALUE, found "agent" (--kubesvc.grpc.auth.x509.filters)',
  ],
  [
    'tokens that were made for anybody',
    { flags: ['--kubesvc.grpc.auth.tokens.jwt.jwksFile=/keys', '--kubesvc.grpc.auth.tokens.jwt.issuer=me'] },
    'kubesvc.grpc.auth.tokens.jwt.audiences: expected at least one audience, found none: tokens issued for other services would be accepted',
  ],
  [
    'tokens of any issuer',
    { flags: ['--kubesvc.grpc.auth.tokens.jwt.jwksFile=/keys', '--kubesvc.grpc.auth.tokens.jwt.audiences=me'] },
    'kubesvc.grpc.auth.tokens.jwt.issuer: expected the issuer of the tokens, found nothing',
  ],
  [
    'a signature that everybody can make',
    { flags: ['--kubesvc.grpc.auth.tokens.jwt.algorithms=none'] },
    'kubesvc.grpc.auth.tokens.jwt.algorithms: expected a list of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, Ed25519, found "none" (--kubesvc.grpc.auth.tokens.jwt.algorithms)',
  ],
  [
    'a policy for nobody',
    { flags: ['--kubesvc.grpc.auth.policyFile=/policy'] },
    'kubesvc.grpc.auth.policyFile: expected kubesvc.grpc.auth.x509.enabled or one of kubesvc.grpc.auth.tokens beside it, found none: nobody could authenticate (--kubesvc.grpc.auth.policyFile)',
  ],
  [
    'the REST API for everybody',
    { flags: ['--server.address=0.0.0.0'] },
    'server.auth.anonymousRole: expected read, operate or admin, or a way for callers to authenticate (server.auth.x509, server.auth.tokens), found neither: the REST API is reachable beyond this machine (server.address: 0.0.0.0)',
  ],
  [
    'callers without roles',
    { flags: ['--server.auth.tokens.file=/tokens'] },
    'server.auth.policyFile: expected a file that gives callers their roles, found nothing: no caller would have a role',
  ],
  [
    'instances that prove nothing among callers who do',
    { flags: [...cluster.slice(1), '--server.auth.tokens.file=/tokens', '--server.auth.policyFile=/policy'] },
    'server.auth.instances.secretFile: expected a file, or server.auth.instances.filters, found nothing: calls from other instances would be refused',
  ],
  [
    'certificates of instances that are never seen',
    { flags: ['--server.auth.instances.filters=CN=gateway'] },
    'server.auth.instances.filters: expected TLS with server.ssl.clientAuth: REQUIRE or OPTIONAL, found none: no client would present a certificate (--server.auth.instances.filters)',
  ],
  [
    'connections of other instances that would meet a reset',
    { flags: [...cluster, '--server.idleTimeoutMs=30000'] },
    'server.idleTimeoutMs: expected more than 30000, the time that instances keep idle connections to each other, found 30000 (--server.idleTimeoutMs)',
  ],
  [
    'a static cluster of nobody',
    { flags: [...cluster, '--kubesvc.cluster=static'] },
    'kubesvc.cluster-static.instances: expected at least one base URL, found none, with kubesvc.cluster: static',
  ],
  [
    'an embedded database for several instances',
    { flags: [...cluster, '--sql.url=pglite:/data'] },
    'sql.url: expected a database server that all instances share, found the embedded one, with kubesvc.cluster: kubernetes (--sql.url)',
  ],
  [
    'nobody to log in as',
    { flags: ['--sql.url=mysql://db/x'] },
    'sql.user: expected a user, here or in sql.url, found nothing',
  ],
  [
    'half a client certificate',
    { flags: ['--sql.ssl.certificateChain=c'] },
    'sql.ssl.privateKey: expected both sql.ssl.certificateChain and sql.ssl.privateKey, or neither',
  ],
];

for (const [what, wrong, message] of cases) {
  test(what, (t) => {
    const { error, lines } = problemsOf(t, wrong);
    t.same(lines, [message]);
    t.ok(message.startsWith(`${error.details.field ?? ''}:`));
    t.end();
  });
}

test('TLS without certificate and key', (t) => {
  const { lines } = problemsOf(t, { flags: ['--kubesvc.grpc.server.security.enabled=true'] });
  const end = 'expected a PEM file, found nothing, with kubesvc.grpc.server.security.enabled';
  t.same(lines, [
    '2 problems in the configuration:',
    `kubesvc.grpc.server.security.certificateChain: ${end}`,
    `kubesvc.grpc.server.security.privateKey: ${end}`,
  ]);
  t.end();
});

test('a cluster through Redis without Redis', (t) => {
  const flags = ['--kubesvc.cluster=redis', '--sql.url=mysql://u@db/x', '--server.auth.anonymousRole=admin'];
  const { lines } = problemsOf(t, { flags });
  t.same(lines, [
    'redis.connection: expected a URL that starts with redis:// or rediss://, found nothing, with kubesvc.cluster: redis',
  ]);
  t.end();
});

test('all problems of all sources are listed at once, rules between settings included', (t) => {
  const { error, lines } = problemsOf(t, {
    yaml: 'server:\n  port: x\nkubesvc:\n  instances:\n    leaseMs: 1000\n  clutser: redis\n',
    environment: { AGENT_GATEWAY_SQL_MAXPOOLSIZE: '0' },
    flags: ['--redis.conection', 'redis://r'],
  });
  t.same(lines, [
    '5 problems in the configuration:',
    'server.port: expected a whole number from 0 to 65535, found "x" (gateway.yml:2)',
    'kubesvc.clutser: no such setting; did you mean kubesvc.cluster? (gateway.yml:6)',
    'sql.maxPoolSize: expected a whole number from 1 to 1000, found "0" (AGENT_GATEWAY_SQL_MAXPOOLSIZE)',
    'redis.conection: no such setting; did you mean redis.connection? (--redis.conection)',
    'kubesvc.instances.leaseMs: expected more than twice kubesvc.instances.heartbeatMs (1000), found 1000 (gateway.yml:5)',
  ]);
  t.equal(error.details.field, 'server.port');
  t.end();
});

test('warnings of settings that work but should not stay', (t) => {
  const load = (...flags: string[]) => loadConfig({ environment: {}, flags }).warnings;
  t.same(load('--kubesvc.cluster=kubernetes', '--sql.url=mysql://u@db/x', '--server.auth.anonymousRole=admin'), [
    'server.auth.anonymousRole: admin: anyone who can reach the REST API has this role; restrict access with a NetworkPolicy',
    'redis.connection: not set: instances learn of changes from SQL alone, which is slower',
  ]);
  t.same(load('--server.ssl.clientAuth=REQUIRE'), [
    'server.ssl.enabled: false, so nothing else in server.ssl has an effect',
  ]);
  t.same(load('--server.maxBodySize=1MB'), [
    'server.maxBodySize: smaller than kubesvc.grpc.server.maxInboundMessageSize: large results cannot be forwarded',
  ]);
  t.end();
});

test('no error repeats a secret, wherever it was written and whatever is wrong', (t) => {
  const word = 'hunter2';
  const wrongs: Wrong[] = [
    { yaml: `sql:\n  password: {a: ${word}}\n` },
    { yaml: `sql:\n  password: [${word}]\n` },
    { yaml: `sql:\n  pasword: ${word}\n` },
    { yaml: `sql: "password: ${word}"\n` },
    { yaml: `sql:\n  password: *${word}\n` },
    { yaml: `sql:\n  password: !${word}\n` },
    { yaml: `sql:\n  password: "${word}\n` },
    { yaml: `sql:\n  password: %${word}\n` },
    { yaml: `sql:\n  password: @${word}\n` },
    { yaml: `sql:\n  password: ${word}: x: y\n` },
    { yaml: `sql:\n  password: "a" ${word}\n` },
    { yaml: `sql:\n  password: encrypted:${word}\n` },
    { yaml: `sql:\n  password: \${${word}}\n` },
    { yaml: `- ${word}\n` },
    { yaml: word },
    { yaml: `sql: {url: "mysqls://u:${word}@h/d"}` },
    { yaml: `redis: {connection: "http://:${word}@h"}` },
    { flags: ['--sql.pasword', word] },
    { flags: [`--sql.pasword=${word}`] },
    { flags: ['--sql.password', 'x', word] },
    { flags: ['--kubesvc.cluster=kubernetes', `--sql.url=mysql://u:${word}@h/d`, '--server.port=x'] },
    { environment: { AGENT_GATEWAY_SQL_PASWORD: word } },
    { environment: { AGENT_GATEWAY_REDIS_CONNECTION: word } },
  ];
  for (const wrong of wrongs) {
    const { error } = problemsOf(t, wrong);
    t.notOk(
      `${error.stack ?? ''}${JSON.stringify(error)}`.includes(word),
      `${JSON.stringify(wrong)}: ${error.message}`,
    );
    t.equal(error.cause, undefined);
  }
  t.end();
});
