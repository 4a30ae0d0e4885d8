/**
 * Keys that are not ours but that a working clouddriver.yml has: other names of our settings, options that mean nothing
 * here, which are accepted with a warning, and options that would restrict something, which are refused unless they
 * restrict nothing. How keys are spelled is for spelling.ts.
 */

/** Another key for one of ours. `factor` converts a number: seconds to ms is 1000. */
export interface Alias {
  readonly key: string;
  readonly factor?: number;
}

const server = 'kubesvc.grpc.server';

export const aliases: ReadonlyMap<string, Alias> = new Map<string, Alias>([
  [`${server}.security.keepAliveHeartbeatSeconds`, { key: `${server}.keepAliveTimeMs`, factor: 1_000 }],
  [`${server}.security.KeepAliveTimeOutSeconds`, { key: `${server}.keepAliveTimeoutMs`, factor: 1_000 }],
  [`${server}.security.keepAliveTimeOutSeconds`, { key: `${server}.keepAliveTimeoutMs`, factor: 1_000 }],
  // Clouddriver reads both the singular and the plural.
  ...['sql.connectionPool', 'sql.connectionPools.default'].flatMap((pool): [string, Alias][] => [
    [`${pool}.jdbcUrl`, { key: 'sql.url' }],
    [`${pool}.user`, { key: 'sql.user' }],
    [`${pool}.password`, { key: 'sql.password' }],
    [`${pool}.maxPoolSize`, { key: 'sql.maxPoolSize' }],
    [`${pool}.connectionTimeout`, { key: 'sql.connectionTimeoutMs' }],
    [`${pool}.connectionTimeoutMs`, { key: 'sql.connectionTimeoutMs' }],
  ]),
  ['sql.migration.jdbcUrl', { key: 'sql.migration.url' }],
]);

/** A key, with everything below it, that means nothing here, and why. The longest that matches counts. */
export const unused: ReadonlyMap<string, string> = new Map([
  ['kubesvc.cache.cacheStreamingPoolCoreSize', 'there is no thread pool for streams here'],
  ['kubesvc.cache.cacheStreamingPoolMaxSize', 'there is no thread pool for streams here'],
  ['kubesvc.credentials.poller.reloadFrequencyMs', 'accounts are followed by events, not polled'],
  ['kubesvc.disableV2Provider', "Clouddriver's own Kubernetes provider does not run here"],
  ['kubesvc.enabled', 'the gateway is nothing else'],
  ['kubesvc.dynamicAccounts.scan', 'accounts are looked for where kubesvc.dynamicAccounts.namePatterns has some'],
  ['kubesvc.operations.database', 'operations go to the owner at once, and are not looked for in the database'],
  ['kubesvc.dynamicAccounts.interceptor.enabled', "there are no requests of Clouddriver's own to intercept here"],
  ['kubesvc.heartbeat.enabled', 'instances always renew their lease: see kubesvc.instances.heartbeatMs'],
  ['kubesvc.heartbeat.initialDelay', 'the first heartbeat is part of the start: see kubesvc.instances.heartbeatMs'],
  ['kubesvc.heartbeat.period', 'see kubesvc.instances.heartbeatMs and kubesvc.instances.leaseMs'],
  ['kubesvc.heartbeat.periodUnit', 'see kubesvc.instances.heartbeatMs and kubesvc.instances.leaseMs'],
  ['kubesvc.loadBalancer', 'agents are spread by the load balancer and by kubesvc.grpc.server.maxConnectionAgeSeconds'],
  ['kubesvc.ops.processTime.metric.result.maxLength', 'no metric carries the text of a result here'],
  ['kubesvc.runtime', 'settings of accounts belong to the agent that serves them'],
  ['kubesvc.v2-cache-eviction', "there is no cache of Clouddriver's own Kubernetes provider here"],

  ['sql.enabled', 'SQL is always used'],
  ['sql.baseUrl', 'write sql.url'],
  ['sql.secondaryPoolName', 'there is one pool of connections'],
  ['sql.cache', 'the cache is always in SQL'],
  ['sql.scheduler', "Clouddriver's own caching agents do not run here"],
  ['sql.taskRepository', "Clouddriver's own tasks are not kept here"],
  ['sql.unknownAgentCleanupAgent', "Clouddriver's own caching agents do not run here"],
  ['sql.agent', "Clouddriver's own caching agents do not run here"],
  ['sql.retries', 'transactions that may be retried are retried a bounded number of times'],
  ['sql.transactionRetry', 'transactions that may be retried are retried a bounded number of times'],
  ['sql.readOnly', 'every instance writes'],
  ['sql.migration.additionalChangeLogs', 'migrations are part of the program'],
  ['sql.migration.duplicateFileMode', 'migrations are part of the program'],
  ...['sql.connectionPool', 'sql.connectionPools.default'].flatMap((pool): [string, string][] => [
    [`${pool}.default`, 'there is one pool of connections'],
    [`${pool}.dialect`, 'the URL says it'],
    [`${pool}.driver`, 'the URL says it'],
    [`${pool}.minIdle`, 'idle connections are not kept open on purpose'],
    [`${pool}.idleTimeout`, 'the driver decides'],
    [`${pool}.maxLifetime`, 'the driver decides'],
    [`${pool}.validationTimeout`, 'the driver decides'],
    [`${pool}.idleTimeoutMs`, 'the driver decides'],
    [`${pool}.maxLifetimeMs`, 'the driver decides'],
    [`${pool}.validationTimeoutMs`, 'the driver decides'],
  ]),
  ['sql.connectionPools', 'there is one pool of connections, sql.connectionPools.default'],

  ['redis.enabled', 'redis.connection alone decides'],
  ['redis.cache', "Clouddriver's own cache is not kept here"],
  ['redis.scheduler', "Clouddriver's own caching agents do not run here"],
  ['redis.taskRepository', "Clouddriver's own tasks are not kept here"],
  ['redis.poll', "Clouddriver's own caching agents do not run here"],
  ['redis.timeout', 'every call has a deadline of its own'],
  ['redis.agent', "Clouddriver's own caching agents do not run here"],

  ['spinnaker', 'there are no plugins to load here'],
  ['services', 'no other service of Spinnaker is called'],
  ['kubernetes', "Clouddriver's own Kubernetes accounts are not read here; see /armory/accounts"],
  ['credentials', 'there are no credentials to poll here'],
  ['caching', "Clouddriver's own caching agents do not run here"],
  ['cats', "Clouddriver's own caching agents do not run here"],
  ['accounts', "there is no account management of Clouddriver's here; see /armory/accounts"],
  ['dualTaskRepository', "Clouddriver's own tasks are not kept here"],
  ['armory.opa', 'no policy engine is asked here'],
  ['armory.policy-engine', 'no policy engine is asked here'],
]);

/** An option that would restrict something, and has no effect here. */
export interface GatewayRestriction {
  /** Keys, as uniform() of spelling.ts has them. */
  readonly keys: RegExp;
  /** The value that restricts nothing; without it every value is refused. */
  readonly harmless?: boolean;
  readonly instead: string;
  /** For the documentation, in Markdown. */
  readonly name: string;
}

export const restrictions: readonly GatewayRestriction[] = [
  {
    name: '`services.fiat.enabled`',
    keys: /^services\.fiat\.enabled$/u,
    harmless: false,
    instead: 'Fiat is not asked here: set it to false, and let server.auth say who may call',
  },
  {
    name: '`armory.opa.enabled`, `armory.policy-engine.enabled`',
    keys: /^armory\.(?:opa|policyengine)\.enabled$/u,
    harmless: false,
    instead: 'no policy engine is asked here: set it to false, and let what posts operations ask one',
  },
  {
    name: '`kubesvc.enabled`',
    keys: /^kubesvc\.enabled$/u,
    harmless: true,
    instead: 'the gateway has nothing else to do: leave it out',
  },
  {
    name: '`kubesvc.dynamicAccounts.scan`',
    keys: /^kubesvc\.dynamicaccounts\.scan$/u,
    harmless: true,
    instead: 'to scan nothing leave kubesvc.dynamicAccounts.namePatterns empty, and this out',
  },
  {
    name: '`onlySpinnakerManaged` below `kubesvc.runtime`',
    keys: /^kubesvc\.runtime\.(?:.+\.)?onlyspinnakermanaged$/u,
    harmless: false,
    instead: 'write onlySpinnakerManaged at the accounts of the agent that serves them, and leave it out here',
  },
  {
    name: '`kubesvc` below another section',
    keys: /^(?!kubesvc\.).*\bkubesvc\.(?!enabled$|version$|extensions\.)/u,
    instead: 'settings of the plugin stand at the top of the file, below kubesvc or armory.kubesvc',
  },
  {
    name: '`spring`',
    keys: /^spring(?:$|\.)/u,
    instead: 'settings and profiles of Spring are not read here: write one file for each',
  },
];
