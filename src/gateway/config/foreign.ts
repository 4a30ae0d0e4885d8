/**
 * Keys of a working clouddriver.yml that are not ours: other names of our settings, options without effect
 * here, which are accepted with a warning, and options that would restrict something, which are refused unless they
 * restrict nothing. spelling.ts handles the spelling of keys.
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

/** Keys that have no effect here, with everything below them, and why. The longest matching key wins. */
export const unused: ReadonlyMap<string, string> = new Map([
  ['kubesvc.cache.cacheStreamingPoolCoreSize', 'there is no thread pool for streams here'],
  ['kubesvc.cache.cacheStreamingPoolMaxSize', 'there is no thread pool for streams here'],
  ['kubesvc.credentials.poller.reloadFrequencyMs', 'accounts are followed by events, not polled'],
  ['kubesvc.disableV2Provider', "Clouddriver's own Kubernetes provider does not run here"],
  ['kubesvc.enabled', 'the gateway is always on'],
  ['kubesvc.dynamicAccounts.scan', 'the gateway scans for accounts if kubesvc.dynamicAccounts.namePatterns is set'],
  ['kubesvc.operations.database', 'operations go to the owner directly, not through the database'],
  ['kubesvc.dynamicAccounts.interceptor.enabled', 'there are no Clouddriver requests to intercept here'],
  ['kubesvc.heartbeat.enabled', 'instances always renew their lease: see kubesvc.instances.heartbeatMs'],
  ['kubesvc.heartbeat.initialDelay', 'the first heartbeat is part of startup: see kubesvc.instances.heartbeatMs'],
  ['kubesvc.heartbeat.period', 'see kubesvc.instances.heartbeatMs and kubesvc.instances.leaseMs'],
  ['kubesvc.heartbeat.periodUnit', 'see kubesvc.instances.heartbeatMs and kubesvc.instances.leaseMs'],
  ['kubesvc.loadBalancer', 'agents are spread by the load balancer and by kubesvc.grpc.server.maxConnectionAgeSeconds'],
  ['kubesvc.ops.processTime.metric.result.maxLength', 'no metric contains the text of a result'],
  ['kubesvc.runtime', 'account settings belong to the agent that serves the account'],
  ['kubesvc.v2-cache-eviction', "there is no cache of Clouddriver's own Kubernetes provider here"],

  ['sql.enabled', 'SQL is always used'],
  ['sql.baseUrl', 'use sql.url'],
  ['sql.secondaryPoolName', 'there is only one connection pool'],
  ['sql.cache', 'the cache is always in SQL'],
  ['sql.scheduler', "Clouddriver's own caching agents do not run here"],
  ['sql.taskRepository', "Clouddriver's own tasks are not kept here"],
  ['sql.unknownAgentCleanupAgent', "Clouddriver's own caching agents do not run here"],
  ['sql.agent', "Clouddriver's own caching agents do not run here"],
  ['sql.retries', 'retryable transactions are retried a limited number of times'],
  ['sql.transactionRetry', 'retryable transactions are retried a limited number of times'],
  ['sql.readOnly', 'every instance writes to the database'],
  ['sql.migration.additionalChangeLogs', 'migrations are part of the program'],
  ['sql.migration.duplicateFileMode', 'migrations are part of the program'],
  ...['sql.connectionPool', 'sql.connectionPools.default'].flatMap((pool): [string, string][] => [
    [`${pool}.default`, 'there is only one connection pool'],
    [`${pool}.dialect`, 'it follows from the URL'],
    [`${pool}.driver`, 'it follows from the URL'],
    [`${pool}.minIdle`, 'no minimum of idle connections is kept open'],
    [`${pool}.idleTimeout`, 'idle connections are closed after a minute'],
    [`${pool}.maxLifetime`, 'the driver decides'],
    [`${pool}.validationTimeout`, 'the driver decides'],
    [`${pool}.idleTimeoutMs`, 'idle connections are closed after a minute'],
    [`${pool}.maxLifetimeMs`, 'the driver decides'],
    [`${pool}.validationTimeoutMs`, 'the driver decides'],
  ]),
  ['sql.connectionPools', 'there is only one connection pool, sql.connectionPools.default'],

  ['redis.enabled', 'redis.connection alone decides whether Redis is used'],
  ['redis.cache', "Clouddriver's own cache is not kept here"],
  ['redis.scheduler', "Clouddriver's own caching agents do not run here"],
  ['redis.taskRepository', "Clouddriver's own tasks are not kept here"],
  ['redis.poll', "Clouddriver's own caching agents do not run here"],
  ['redis.timeout', 'every call has a deadline of its own'],
  ['redis.agent', "Clouddriver's own caching agents do not run here"],

  ['spinnaker.extensibility', 'there are no plugins to load here'],
  ['services', 'no other Spinnaker service is called'],
  ['kubernetes', "Clouddriver's own Kubernetes accounts are not read here; see /armory/accounts"],
  ['credentials', 'there are no credentials to poll here'],
  ['caching', "Clouddriver's own caching agents do not run here"],
  ['cats', "Clouddriver's own caching agents do not run here"],
  ['accounts', "Clouddriver's account management does not run here; see /armory/accounts"],
  ['dualTaskRepository', "Clouddriver's own tasks are not kept here"],
  ['armory.opa', 'no policy engine is used here'],
  ['armory.policy-engine', 'no policy engine is used here'],
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
    instead: 'Fiat is not used here: set it to false, and configure server.auth instead',
  },
  {
    name: '`armory.opa.enabled`, `armory.policy-engine.enabled`',
    keys: /^armory\.(?:opa|policyengine)\.enabled$/u,
    harmless: false,
    instead: 'no policy engine is used here: set it to false, and check policies in the service that sends operations',
  },
  {
    name: '`kubesvc.enabled`',
    keys: /^kubesvc\.enabled$/u,
    harmless: true,
    instead: 'the gateway cannot be turned off: remove this key',
  },
  {
    name: '`kubesvc.dynamicAccounts.scan`',
    keys: /^kubesvc\.dynamicaccounts\.scan$/u,
    harmless: true,
    instead: 'to turn scanning off, leave kubesvc.dynamicAccounts.namePatterns empty and remove this key',
  },
  {
    name: '`onlySpinnakerManaged` below `kubesvc.runtime`',
    keys: /^kubesvc\.runtime\.(?:.+\.)?onlyspinnakermanaged$/u,
    harmless: false,
    instead: 'set onlySpinnakerManaged on the accounts of the agent that serves them, and remove it here',
  },
  {
    name: '`kubesvc` below another section',
    keys: /^(?!kubesvc\.).*\bkubesvc\.(?!enabled$|version$|extensions\.)/u,
    instead: 'put the settings of the plugin at the top level of the file, below kubesvc or armory.kubesvc',
  },
  {
    name: '`spring`',
    keys: /^spring(?:$|\.)/u,
    instead: 'Spring settings and profiles are not read here: write one file for each profile',
  },
];
