/** An account as Clouddriver's account store has it (KubernetesAccountProperties.ManagedAccount in spinnaker/clouddriver). */

import type { PublishedAccount } from './published-accounts.js';

/** JSON of Clouddriver. `kubeconfigContents` is a secret. */
export type ClouddriverDefinition = Readonly<Record<string, unknown>>;

/**
 * `--request-timeout` of Clouddriver's kubectl, in s. Without it, kubectl gives requests about resource types 32 s, retries included.
 * kubectl 1.22 then says that the cluster has no such type, and Clouddriver loses its custom resources for a while. This one is longer
 * than kubectl's retries of a 503 (50 s) and the API server's own limit of a request (60 s) together.
 */
export const requestTimeoutSeconds = 120;

/** What Clouddriver takes for an option that is not set, if that is not nothing. */
const defaults: ClouddriverDefinition = {
  cacheAllApplicationRelationships: false,
  cacheThreads: 1,
  checkPermissionsOnStartup: true,
  debug: false,
  metrics: true,
  onlySpinnakerManaged: false,
};

/** Compared although they are not set: they may have been. */
const optional = [
  'accountType',
  'cacheIntervalSeconds',
  'cachingPolicies',
  'context',
  'customResources',
  'environment',
  'kinds',
  'kubeconfigFile',
  'omitKinds',
  'omitNamespaces',
  'rawResourcesEndpointConfig',
  'requiredGroupMembership',
];

/** Without "@type", which Clouddriver refuses. */
export function definitionOf(account: PublishedAccount): ClouddriverDefinition {
  const { name, kubeconfigContents, namespaces, omitNamespaces, permissions, options } = account;
  return {
    ...options,
    type: 'kubernetes',
    name,
    kubeconfigContents,
    namespaces,
    ...(omitNamespaces.length === 0 ? {} : { omitNamespaces }),
    permissions,
    // Clouddriver remembers a check that failed as a missing permission, and never caches the account.
    checkPermissionsOnStartup: false,
    kubectlRequestTimeoutSeconds: requestTimeoutSeconds,
  };
}

/** Whether Clouddriver has what it should have. It may add fields to what it was given, and leaves out empty ones. */
export function isAsWanted(stored: ClouddriverDefinition, wanted: ClouddriverDefinition): boolean {
  const names = new Set([...Object.keys(wanted), ...Object.keys(defaults), ...optional]);
  names.delete('type');
  return [...names].every((name) => agrees(stored[name] ?? defaults[name], wanted[name] ?? defaults[name], name));
}

function agrees(stored: unknown, wanted: unknown, name = ''): boolean {
  if (isEmpty(stored) || isEmpty(wanted)) return isEmpty(stored) && isEmpty(wanted);
  if (typeof wanted !== 'object' || typeof stored !== 'object') return String(stored) === String(wanted);
  if (name === 'permissions') return sameGroups(stored as object, wanted as object);
  if (!Array.isArray(wanted) || !Array.isArray(stored))
    return Object.entries(wanted as object).every(([key, value]) =>
      agrees((stored as ClouddriverDefinition)[key], value),
    );
  const inOrder = (list: readonly unknown[]): readonly unknown[] => (list.every(isText) ? list.toSorted() : list);
  const [some, others] = [inOrder(stored), inOrder(wanted)];
  return some.length === others.length && others.every((value, index) => agrees(some[index], value));
}

/** Fiat compares groups in lower case. */
function sameGroups(stored: object, wanted: object): boolean {
  const groups = (permissions: object): string[] =>
    Object.entries(permissions as Readonly<Record<string, unknown>>)
      .flatMap(([authorization, names]) => {
        const list: readonly unknown[] = Array.isArray(names) ? names : [];
        return list.map((group) => `${authorization} ${String(group).toLowerCase()}`);
      })
      .toSorted();
  return groups(stored).join('\n') === groups(wanted).join('\n');
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return typeof value === 'object' && Object.values(value).every(isEmpty);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
