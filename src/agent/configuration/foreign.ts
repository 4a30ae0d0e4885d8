/**
 * Options of Armory's agent, and of Clouddriver's accounts, that ours does not have: other spellings, options without
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

const clouddriver = 'only Clouddriver’s own provider uses it';
const scan = 'the gateway scans for accounts: see kubesvc.dynamicAccounts in its configuration';
const rotation = 'the system rotates log files';
const cluster = 'the agent asks the cluster for its kinds';

/** Options without effect, with everything below them, and why. */
export const unused: ReadonlyMap<string, string> = new Map([
  ['pprof', 'Node.js has its own inspector'],
  ['secrets', 'secrets are read from files or variables: file:/PATH, env:NAME'],
  ['server.ssl', 'the health port has no TLS'],
  ['hub', 'Armory Cloud is not supported'],
  ['local', 'there is no other mode'],
  ['balanceConnection', 'gateways balance agents themselves'],
  ['clouddriverNamespace', 'the agent connects to the addresses in clouddriver.grpc'],
  ['domainName', 'the agent connects to the addresses in clouddriver.grpc'],
  ['clouddriver.keepAliveOperationSeconds', 'the gateway’s pings detect a dead stream'],
  ['clouddriver.responseRetries', 'a result is sent again until the gateway acknowledges it'],
  ['clouddriver.retries', 'a result is sent again until the gateway acknowledges it'],
  ['clouddriver.cacheRetryIntervalSeconds', 'unacknowledged objects are sent again'],
  ['dynamicAccounts.interceptor', 'there are no requests to intercept'],
  ['dynamicAccounts.scan', scan],
  ['dynamicAccounts.scanBatchSize', scan],
  ['dynamicAccounts.scanFrequencySeconds', scan],
  ['dynamicAccounts.namePatterns', scan],
  ['dynamicAccounts.credentialScanNamePatterns', scan],
  ['tasks.queueCheckFrequencyMs', 'the queue is not polled'],
  ...['multiWrite', 'maxSizeMb', 'maxAgeDays', 'maxBackups', 'compress'].map((name): [string, string] => [
    `logging.${name}`,
    rotation,
  ]),
  ['logging.localTime', 'times are UTC'],
  ['logging.remote', 'collect the logs from standard output'],
  ['kubernetes.enabled', 'every account in the file is served'],
  ['kubernetes.primaryAccount', clouddriver],
  ['kubernetes.dynamicAccountsOnly', 'accounts in this file are always served'],
  ['kubernetes.cacheGroupSize', 'tasks.totalBudget limits concurrent lists'],
  ['kubernetes.cacheGroupDelayMs', 'tasks.totalBudget limits concurrent lists'],
  ['kubernetes.serverSideApply.clearManagedFields', 'the API server tracks field ownership'],
  ['kubernetes.serverSideApply.manifestDefaults', 'the API server fills in defaults'],
  ['kubernetes.serverSideApply.kinds', 'serverSideApply.enabled applies to all kinds'],
  ...(
    [
      ['maxResumableResourceAgeMs', 'the API server reports when a resourceVersion is too old to resume from'],
      ['metrics', 'pods’ metrics are not sent'],
      ['oAuthScopes', 'the exec plugin of the kubeconfig sets its own scopes'],
      ['oAuthServiceAccount', 'the exec plugin of the kubeconfig sets its own account'],
      ['customResourceDefinitions[].scope', cluster],
      ['customResources', cluster],
      ['kubeconfigContents', 'use kubeConfigFile, which names a file'],
      ['requiredGroupMembership', 'use permissions, which names the groups'],
      ['kubectlExecutable', 'the agent does not run kubectl'],
      ['kubectlPath', 'the agent does not run kubectl'],
      ['kubectlRequestTimeoutSeconds', 'kubernetes.requestTimeoutMs applies to all accounts'],
      ['cacheThreads', 'tasks.budgetPerAccount limits concurrent lists'],
      ['cacheIntervalSeconds', 'the agent watches for changes'],
      ['liveManifestCalls', 'answers always come from the cluster itself'],
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

/** If these restrict nothing, `unused` says why they have no effect. */
export const restrictions: ReadonlyMap<string, AgentRestriction> = new Map<string, AgentRestriction>([
  [
    'server.ssl.enabled',
    { restricts: isOn, instead: 'the health port has no TLS here: remove this key and keep server.host at localhost' },
  ],
  [
    'kubernetes.dynamicAccountsOnly',
    {
      restricts: isOn,
      instead: 'accounts in this file are always served: remove them, and set dynamicAccounts.enabled to true',
    },
  ],
  [
    'kubernetes.accounts[].requiredGroupMembership',
    { restricts: isGiven, instead: 'write these groups as permissions: {READ: [...], WRITE: [...]}' },
  ],
  [
    'kubernetes.accounts[].kubeconfigContents',
    { restricts: isGiven, instead: 'mount the kubeconfig as a file and write kubeConfigFile: PATH' },
  ],
  ['certFile', { restricts: isGiven, instead: 'write it as clouddriver.tls.clientCertFile' }],
  [
    'spring',
    {
      restricts: isGiven,
      instead: 'Spring profiles and settings are not read: keep only the settings of this agent',
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
