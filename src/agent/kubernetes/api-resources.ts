/**
 * The kinds of a cluster and their paths: the API's discovery documents, aggregated (Kubernetes 1.27 and later,
 * two requests) or one per group and version. Kept, and read anew when a request names an unknown kind.
 */

import { GatewayError } from '../../core/errors.js';
import { SharedWork } from '../../core/shared-work.js';
import type { ApiClient } from '../../kubernetes/client.js';
import { ApiError } from '../../kubernetes/client.js';

export interface ApiResource {
  /** '' is the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Plural, as in paths: "deployments". */
  readonly name: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

export function apiVersionOf({ group, version }: Pick<ApiResource, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

/** The path of a collection, or of one object in it, or of a subresource of that. */
export function pathOf(resource: ApiResource, namespace: string, name?: string, subresource?: string): string {
  const { group, version } = resource;
  const parts = [group === '' ? `/api/${version}` : `/apis/${group}/${version}`];
  if (resource.namespaced && namespace !== '') parts.push('namespaces', encodeURIComponent(namespace));
  parts.push(resource.name);
  if (name !== undefined) parts.push(encodeURIComponent(name));
  if (subresource !== undefined) parts.push(subresource);
  return parts.join('/');
}

interface GroupDiscovery {
  readonly metadata?: { readonly name?: string };
  readonly versions: readonly {
    readonly version: string;
    readonly resources?: readonly {
      readonly resource: string;
      readonly responseKind?: { readonly kind?: string; readonly group?: string; readonly version?: string };
      readonly scope: 'Namespaced' | 'Cluster';
      readonly verbs: readonly string[];
    }[];
  }[];
}

interface ResourceList {
  readonly resources: readonly {
    readonly name: string;
    readonly kind: string;
    readonly namespaced: boolean;
    readonly verbs: readonly string[];
  }[];
}

const aggregated = ['v2', 'v2beta1'].map(
  (v) => `application/json;g=apidiscovery.k8s.io;v=${v};as=APIGroupDiscoveryList`,
);
const accept = [...aggregated, 'application/json'].join(',');
export class ApiResources {
  readonly #client: ApiClient;
  #known: readonly ApiResource[] = [];
  readonly #reading = new SharedWork<readonly ApiResource[]>();

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /**
   * @param apiVersion "apps/v1"; '' for the version that the cluster prefers
   * @param kind "Deployment", or with its group "Certificate.cert-manager.io"; the case of the first letter does not
   *   matter
   * @throws ApiError 404 with kubectl's words if the cluster does not have it; as ApiClient.get()
   */
  async find(apiVersion: string, kind: string, signal: AbortSignal): Promise<ApiResource> {
    let found = matching(this.#known, apiVersion, kind);
    // A read already under way may have begun before the kind was created.
    if (found === undefined && this.#reading.isRunning) found = matching(await this.read(signal), apiVersion, kind);
    found ??= matching(await this.read(signal), apiVersion, kind);
    if (found !== undefined) return found;
    const text = `no matches for kind "${kind}"${apiVersion === '' ? '' : ` in version "${apiVersion}"`}`;
    throw new ApiError(404, text, text, 'NotFound');
  }

  /**
   * Whether a resource belongs to a namespace; undefined if the cluster does not have it.
   * @param name as in paths: "deployments"
   * @throws as ApiClient.get()
   */
  async isNamespaced(group: string, name: string, signal: AbortSignal): Promise<boolean | undefined> {
    const isWanted = (resource: ApiResource): boolean => resource.group === group && resource.name === name;
    const found = this.#known.find(isWanted) ?? (await this.read(signal)).find(isWanted);
    return found?.namespaced;
  }

  /** The cluster's answer contradicts the known kinds: the next caller reads them anew. */
  forget(): void {
    this.#known = [];
  }

  /** Every kind in every version, the preferred one of each group first. @throws as ApiClient.get() */
  async read(signal: AbortSignal): Promise<readonly ApiResource[]> {
    return this.#reading.run(signal, async (wanted) => {
      this.#known = await readAll(this.#client, wanted);
      return this.#known;
    });
  }
}

/**
 * If several resources have one kind (OpenShift's templates and processedtemplates), the one that supports get and
 * patch.
 */
function matching(resources: readonly ApiResource[], apiVersion: string, kind: string): ApiResource | undefined {
  const [name = '', ...group] = kind.split('.');
  const wanted = name.toLowerCase();
  const found = resources.filter(
    (resource) =>
      resource.kind.toLowerCase() === wanted &&
      (apiVersion === '' || apiVersionOf(resource) === apiVersion) &&
      (group.length === 0 || resource.group === group.join('.')),
  );
  const withVerbs = (...verbs: readonly string[]): ApiResource | undefined =>
    found.find((resource) => verbs.every((verb) => resource.verbs.includes(verb)));
  return withVerbs('get', 'patch') ?? withVerbs('get') ?? found[0];
}

async function readAll(client: ApiClient, signal: AbortSignal): Promise<readonly ApiResource[]> {
  const [core, groups] = await Promise.all(
    ['/api', '/apis'].map((path) => client.call({ method: 'GET', path, accept }, signal)),
  );
  if ((core as { kind?: string }).kind === 'APIGroupDiscoveryList') {
    return [core, groups].flatMap((list) => (list as { items: readonly GroupDiscovery[] }).items.flatMap(ofGroup));
  }
  const listed = (groups as { groups: readonly { name: string; versions: { version: string }[] }[] }).groups;
  const versions = [
    ...(core as { versions: readonly string[] }).versions.map((version) => ({ group: '', version })),
    ...listed.flatMap(({ name, versions: all }) => all.map(({ version }) => ({ group: name, version }))),
  ];
  const lists: ApiResource[][] = [];
  // One after the other: there may be a hundred.
  for (const each of versions) lists.push(await ofVersion(client, each, signal));
  return lists.flat();
}

function ofGroup({ metadata, versions }: GroupDiscovery): ApiResource[] {
  const group = metadata?.name ?? '';
  return versions.flatMap(({ version, resources = [] }) =>
    resources.flatMap(({ resource, responseKind, scope, verbs }) => {
      const kind = responseKind?.kind;
      if (kind === undefined) return [];
      return [{ group, version, kind, name: resource, namespaced: scope === 'Namespaced', verbs }];
    }),
  );
}

async function ofVersion(
  client: ApiClient,
  { group, version }: { readonly group: string; readonly version: string },
  signal: AbortSignal,
): Promise<ApiResource[]> {
  const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  try {
    const { resources } = (await client.get(path, {}, signal)) as ResourceList;
    return resources
      .filter(({ name }) => !name.includes('/'))
      .map(({ name, kind, namespaced, verbs }) => ({ group, version, kind, name, namespaced, verbs }));
  } catch (error) {
    // A group whose own server is down or gives invalid answers (such as a metrics adapter) must not hide all others.
    if (error instanceof ApiError || (error instanceof GatewayError && error.code === 'dependency-unavailable'))
      return [];
    throw error;
  }
}
