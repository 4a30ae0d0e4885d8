/** Names of kinds as Spinnaker writes them, and which kinds are cached. */

/**
 * Groups whose kinds Spinnaker calls by the kind alone (Clouddriver's KubernetesApiGroup); kinds of other groups are
 * `<kind>.<group>`, so that two kinds of the same name do not collide.
 */
const nativeGroups = new Set([
  '',
  'admissionregistration.k8s.io',
  'apiextensions.k8s.io',
  'apiregistration.k8s.io',
  'apps',
  'authentication.k8s.io',
  'authorization.k8s.io',
  'autoscaling',
  'batch',
  'certificates.k8s.io',
  'extensions',
  'networking.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
  'scheduling.k8s.io',
  'settings.k8s.io',
  'storage.k8s.io',
]);

/** "apps" of "apps/v1" and of "apps/"; '' of "v1". */
export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/');
  return slash === -1 ? '' : apiVersion.slice(0, slash);
}

/**
 * "replicaSet" of ("apps/v1", "ReplicaSet"), "certificate.cert-manager.io" of ("cert-manager.io/v1", "Certificate").
 */
export function kindName(apiVersion: string, kind: string): string {
  const group = groupOf(apiVersion);
  const name = kind.charAt(0).toLowerCase() + kind.slice(1);
  return nativeGroups.has(group) ? name : `${name}.${group}`;
}

/** Names of the kinds of Kubernetes' own events. */
export const eventKinds = [kindName('v1', 'Event'), kindName('events.k8s.io/v1', 'Event')];

export interface KindSettings {
  readonly cacheAll: boolean;
  readonly cacheKinds: readonly string[];
  readonly cacheOmitKinds: readonly string[];
}

/** Which kinds are cached. */
export class KindFilter {
  readonly settings: KindSettings;
  readonly #kinds: ReadonlySet<string>;
  readonly #omitted: ReadonlySet<string>;

  constructor(settings: KindSettings) {
    this.settings = settings;
    this.#kinds = lowerCase(settings.cacheKinds);
    this.#omitted = lowerCase(settings.cacheOmitKinds);
  }

  /** A kind without a group means that kind in every group, as in Clouddriver's `kinds`. */
  has(apiVersion: string, kind: string): boolean {
    const name = kind.toLowerCase();
    const qualified = `${name}.${groupOf(apiVersion).toLowerCase()}`;
    const named = (kinds: ReadonlySet<string>) => kinds.has(name) || kinds.has(qualified);
    return (this.settings.cacheAll || named(this.#kinds)) && !named(this.#omitted);
  }
}

function lowerCase(names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map((name) => name.toLowerCase()));
}
