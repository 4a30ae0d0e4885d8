/**
 * What agents, or the definition of a dynamic account, say of an account, in the words of Clouddriver's own accounts
 * (KubernetesAccountProperties.ManagedAccount in spinnaker/clouddriver).
 */

import { TellableError } from '../../core/errors.js';
import type { AccountRecord } from '../../store/accounts/account-record.js';
import type { Definition } from '../accounts/definition.js';

export interface AccountOfSpinnaker {
  /** Empty: all. With both lists Clouddriver refuses an account, so one of them is empty. */
  readonly namespaces: readonly string[];
  readonly omitNamespaces: readonly string[];
  /** Groups by authorization: `{READ: [...], WRITE: [...]}`; empty: everyone. */
  readonly permissions: Readonly<Record<string, readonly string[]>>;
  /** Further options of Clouddriver's accounts, by name, as JSON values; only those that are set. */
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * Not `kinds` and `omitKinds`: they say what agents cache, and Clouddriver would also refuse to deploy other kinds. Nor
 * `checkPermissionsOnStartup`, which has to be false, and what says how to reach the cluster.
 */
const passedOn = [
  'accountType',
  'cacheAllApplicationRelationships',
  'cacheIntervalSeconds',
  'cacheThreads',
  'cachingPolicies',
  'customResources',
  'debug',
  'environment',
  'metrics',
  'onlySpinnakerManaged',
  'rawResourcesEndpointConfig',
] as const;

/** @throws TellableError naming what cannot be honoured: a restriction is never dropped */
export function describedAccount(
  { namespaces: registered, properties }: Pick<AccountRecord, 'namespaces' | 'properties'>,
  definition: Definition,
): AccountOfSpinnaker {
  const said = (name: string): unknown => definition[name] ?? jsonOf(name, properties[name]);
  const wanted = registered.length > 0 ? registered : namesOf('namespaces', definition['namespaces']);
  const omitted = namesOf('omitNamespaces', said('omitNamespaces'));
  const namespaces = wanted.filter((namespace) => !omitted.includes(namespace));
  if (wanted.length > 0 && namespaces.length === 0)
    throw new TellableError('its omitNamespaces leave none of its namespaces: correct one of the lists');
  const options = passedOn.map((name) => [name, said(name)] as const).filter(([, value]) => value !== undefined);
  return {
    namespaces: namespaces.toSorted(),
    omitNamespaces: wanted.length > 0 ? [] : omitted.toSorted(),
    permissions: permissionsOf(said('permissions')),
    options: Object.fromEntries(options),
  };
}

/** Agents write as JSON what is not text. */
function jsonOf(name: string, property: string | undefined): unknown {
  if (property === undefined) return undefined;
  try {
    return JSON.parse(property) as unknown;
  } catch {
    throw new TellableError(`its property ${name} is not JSON: correct it in the configuration of its agent`);
  }
}

function namesOf(name: string, value: unknown): readonly string[] {
  if (value === undefined || value === null) return [];
  if (isTexts(value)) return [...new Set(value)];
  throw new TellableError(`its ${name} are not a list of names: correct them`);
}

/** `{READ: [...], WRITE: [...]}`, or a list of these as Armory's agent has it; groups in the order of names. */
function permissionsOf(value: unknown): Record<string, readonly string[]> {
  const parts: readonly unknown[] = Array.isArray(value) ? value : [value ?? {}];
  const merged = new Map<string, Set<string>>();
  for (const part of parts) {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) throw wrongPermissions();
    for (const [authorization, groups] of Object.entries(part)) {
      if (!isTexts(groups)) throw wrongPermissions();
      const known = merged.get(authorization.toUpperCase()) ?? new Set();
      merged.set(authorization.toUpperCase(), known);
      for (const group of groups) known.add(group);
    }
  }
  return Object.fromEntries(
    [...merged].filter(([, groups]) => groups.size > 0).map(([name, groups]) => [name, [...groups].toSorted()]),
  );
}

function wrongPermissions(): TellableError {
  return new TellableError('its permissions are not {READ: [GROUP, ...], WRITE: [GROUP, ...]}: correct them');
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}
