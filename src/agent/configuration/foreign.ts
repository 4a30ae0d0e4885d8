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

const clouddriver = 'it is for Clouddriver’s own provider';
const scan = 'the gateway looks for accounts: kubesvc.dynamicAccounts of its configuration';
const rotation = 'the system rotates files';
const cluster = 'the cluster itself tells its kinds';

/** Options without effect, with everything below them, and why. */
export const unused: ReadonlyMap<string, string> = new Map([
  ['pprof', 'Node.js has its own inspector'],
  ['secrets', 'secrets come as files or variables: file:/PATH, env:NAME'],
  ['server.ssl', 'the health port has no TLS'],
  ['hub', 'Armory Cloud is not dialled'],
  ['local', 'there is no other mode'],
  ['balanceConnection', 'gateways even out agents themselves'],
  ['clouddriverNamespace', 'gateways are dialled as clouddriver.grpc names them'],
  ['domainName', 'gateways are dialled as clouddriver.grpc names them'],
  ['clouddriver.keepAliveOperationSeconds', 'pings of the gateway tell a dead stream'],
  ['clouddriver.responseRetries', 'a result is sent until the gateway has it'],
  ['clouddriver.retries', 'a result is sent until the gateway has it'],
  ['clouddriver.cacheRetryIntervalSeconds', 'what was not acknowledged is sent again'],
  ['dynamicAccounts.interceptor', 'there are no requests to intercept'],
  ['dynamicAccounts.scan', scan],
  ['dynamicAccounts.scanBatchSize', scan],
  ['dynamicAccounts.scanFrequencySeconds', scan],
  ['dynamicAccounts.namePatterns', scan],
  ['dynamicAccounts.credentialScanNamePatterns', scan],
  ['tasks.queueCheckFrequencyMs', 'nothing polls'],
  ...['multiWrite', 'maxSizeMb', 'maxAgeDays', 'maxBackups', 'compress'].map((name): [string, string] => [
    `logging.${name}`,
    rotation,
  ]),
  ['logging.localTime', 'times are UTC'],
  ['logging.remote', 'standard output is for others to collect'],
  ['kubernetes.enabled', 'accounts are served when they are there'],
  ['kubernetes.primaryAccount', clouddriver],
  ['kubernetes.dynamicAccountsOnly', 'accounts of this file are served'],
  ['kubernetes.cacheGroupSize', 'tasks.totalBudget bounds what is listed at the same time'],
  ['kubernetes.cacheGroupDelayMs', 'tasks.totalBudget bounds what is listed at the same time'],
  ['kubernetes.serverSideApply.clearManagedFields', 'fields belong to who applied them'],
  ['kubernetes.serverSideApply.manifestDefaults', 'the API server fills in defaults'],
  ['kubernetes.serverSideApply.kinds', 'serverSideApply.enabled is for all kinds'],
  ...(
    [
      ['maxResumableResourceAgeMs', 'the API server tells when a version is too old to resume from'],
      ['metrics', 'pods’ metrics are not sent'],
      ['oAuthScopes', 'the kubeconfig’s own plugin knows its scopes'],
      ['oAuthServiceAccount', 'the kubeconfig’s own plugin knows its account'],
      ['customResourceDefinitions[].scope', cluster],
      ['customResources', cluster],
      ['kubeconfigContents', 'kubeConfigFile names a file'],
      ['requiredGroupMembership', 'permissions has the groups'],
      ['kubectlExecutable', 'no kubectl is run'],
      ['kubectlPath', 'no kubectl is run'],
      ['kubectlRequestTimeoutSeconds', 'kubernetes.requestTimeoutMs is for all accounts'],
      ['cacheThreads', 'tasks.budgetPerAccount bounds what is listed at the same time'],
      ['cacheIntervalSeconds', 'changes are watched'],
      ['liveManifestCalls', 'every answer comes from the cluster itself'],
      ['type', 'every account is of Kubernetes'],
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
    { restricts: isOn, instead: 'the health port has no TLS here: leave it out, and server.host at localhost' },
  ],
  [
    'kubernetes.dynamicAccountsOnly',
    {
      restricts: isOn,
      instead: 'accounts of this file are served: leave them out, and dynamicAccounts.enabled at true',
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
      instead: 'profiles and settings of Spring are not read: write what is meant for this agent alone',
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
