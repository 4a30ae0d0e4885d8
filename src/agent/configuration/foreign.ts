/**
 * What files of Armory's agent, and accounts of Clouddriver, have and ours has not: other spellings, options without
 * effect, and options that would restrict something, which are refused unless they restrict nothing. Sources: Armory's
 * agent-options, and the accounts of Clouddriver (KubernetesAccountProperties.ManagedAccount).
 * Keys are dotted, a list is `[]`: `kubernetes.accounts[].cacheThreads`.
 */

/** Other keys of settings. */
export const aliases: ReadonlyMap<string, string> = new Map([
  ['dynamicAccountsEnabled', 'dynamicAccounts.enabled'],
  ['clouddriver.dynamicAccountsEnabled', 'dynamicAccounts.enabled'],
  ['kubernetes.accounts[].kubeconfigFile', 'kubernetes.accounts[].kubeConfigFile'],
]);

const clouddriver = 'it only affects Clouddriver’s own provider';
const scan = 'the gateway scans for accounts: see kubesvc.dynamicAccounts in its configuration';
const rotation = 'the system rotates log files';
const cluster = 'the agent asks the cluster for its kinds';

/** Options without effect, with everything below them, and why. */
export const unused: ReadonlyMap<string, string> = new Map([
  ['pprof', 'Node.js has its own inspector'],
  ['secrets', 'write secrets as files or variables: file:/PATH, env:NAME'],
  ['server.ssl', 'the health port has no TLS'],
  ['hub', 'the agent does not connect to Armory Cloud'],
  ['local', 'there is no other mode'],
  ['balanceConnection', 'the gateways balance agents themselves'],
  ['clouddriverNamespace', 'clouddriver.grpc names the gateways'],
  ['domainName', 'clouddriver.grpc names the gateways'],
  ['clouddriver.keepAliveOperationSeconds', 'pings of the gateway detect a dead stream'],
  ['clouddriver.responseRetries', 'the agent resends a result until the gateway has it'],
  ['clouddriver.retries', 'the agent resends a result until the gateway has it'],
  ['clouddriver.cacheRetryIntervalSeconds', 'the agent resends objects that the gateway has not acknowledged'],
  ['dynamicAccounts.interceptor', 'there are no requests to intercept'],
  ['dynamicAccounts.scan', scan],
  ['dynamicAccounts.scanBatchSize', scan],
  ['dynamicAccounts.scanFrequencySeconds', scan],
  ['dynamicAccounts.namePatterns', scan],
  ['dynamicAccounts.credentialScanNamePatterns', scan],
  ['tasks.queueCheckFrequencyMs', 'the agent does not poll'],
  ...['multiWrite', 'maxSizeMb', 'maxAgeDays', 'maxBackups', 'compress'].map((name): [string, string] => [
    `logging.${name}`,
    rotation,
  ]),
  ['logging.localTime', 'times are UTC'],
  ['logging.remote', 'collect the standard output instead'],
  ['kubernetes.enabled', 'the agent serves every account that is configured'],
  ['kubernetes.primaryAccount', clouddriver],
  ['kubernetes.dynamicAccountsOnly', 'the agent serves the accounts in this file'],
  ['kubernetes.cacheGroupSize', 'tasks.totalBudget limits concurrent list requests'],
  ['kubernetes.cacheGroupDelayMs', 'tasks.totalBudget limits concurrent list requests'],
  ['kubernetes.serverSideApply.clearManagedFields', 'fields belong to the manager that applied them'],
  ['kubernetes.serverSideApply.manifestDefaults', 'the API server fills in defaults'],
  ['kubernetes.serverSideApply.kinds', 'serverSideApply.enabled applies to all kinds'],
  ...(
    [
      ['maxResumableResourceAgeMs', 'the API server reports when a version is too old to resume from'],
      ['metrics', 'the agent does not send pod metrics'],
      ['oAuthScopes', 'the kubeconfig’s own plugin knows its scopes'],
      ['oAuthServiceAccount', 'the kubeconfig’s own plugin knows its account'],
      ['customResourceDefinitions[].scope', cluster],
      ['customResources', cluster],
      ['kubeconfigContents', 'kubeConfigFile names a file'],
      ['requiredGroupMembership', 'use permissions for the groups'],
      ['kubectlExecutable', 'the agent does not run kubectl'],
      ['kubectlPath', 'the agent does not run kubectl'],
      ['kubectlRequestTimeoutSeconds', 'kubernetes.requestTimeoutMs applies to all accounts'],
      ['cacheThreads', 'tasks.budgetPerAccount limits concurrent list requests'],
      ['cacheIntervalSeconds', 'the agent watches for changes'],
      ['liveManifestCalls', 'every answer comes from the cluster itself'],
      ['type', 'every account is a Kubernetes account'],
      ...[
        'accountType',
        'cacheAllApplicationRelationships',
        'cachingPolicies',
        'checkPermissionsOnStartup',
        'configureImagePullSecrets',
        'debug',
        'dockerRegistries',
        'environment',
        'namingStrategy',
        'primaryAccount',
        'providerVersion',
        'rawResourcesEndpointConfig',
        'skin',
      ].map((name): [string, string] => [name, clouddriver]),
    ] satisfies [string, string][]
  ).map(([name, reason]): [string, string] => [`kubernetes.accounts[].${name}`, reason]),
]);

/** When a value of a key must not be ignored, and what to do instead. */
export interface AgentRestriction {
  readonly restricts: (value: unknown) => boolean;
  readonly instead: string;
}

/** Where these do not restrict anything, `unused` says why they have no effect. */
export const restrictions: ReadonlyMap<string, AgentRestriction> = new Map<string, AgentRestriction>([
  [
    'server.ssl.enabled',
    { restricts: isOn, instead: 'the health port has no TLS: remove this, and leave server.host at localhost' },
  ],
  [
    'kubernetes.dynamicAccountsOnly',
    {
      restricts: isOn,
      instead: 'the agent serves the accounts in this file: remove them, and set dynamicAccounts.enabled to true',
    },
  ],
  [
    'kubernetes.accounts[].requiredGroupMembership',
    { restricts: isGiven, instead: 'write these groups as permissions: {READ: [...], WRITE: [...]}' },
  ],
  [
    'kubernetes.accounts[].kubeconfigContents',
    { restricts: isGiven, instead: 'mount the kubeconfig as a file and set kubeConfigFile: PATH' },
  ],
  ['certFile', { restricts: isGiven, instead: 'use clouddriver.tls.clientCertFile instead' }],
  [
    'spring',
    {
      restricts: isGiven,
      instead: 'Spring profiles and settings are not read: write only the settings of this agent',
    },
  ],
]);

function isOn(value: unknown): boolean {
  if (typeof value === 'string') return !['false', ''].includes(value.toLowerCase());
  return value !== undefined && value !== null && value !== false;
}

function isGiven(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}
