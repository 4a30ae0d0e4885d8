/** What an account lets callers of the gateway do with its Kubernetes API: `apiAccess`, and its namespaces. */

import { refusedByRead, type AccessLevel, type RequestInfo } from '../../kubernetes/request-info.js';
import type { Cluster } from '../kubernetes/cluster.js';

/** Tells what the account covers, and what the cluster has. */
export type CoveredCluster = Pick<Cluster, 'name' | 'options' | 'covers'> & {
  readonly resources: Pick<Cluster['resources'], 'isNamespaced'>;
};

const setting = (name: string): string => `kubernetes.accounts[].${name}`;

/** Without these paths, no client finds out what there is. */
const aboutTheApi = /^\/(?:$|(?:apis?|openapi|version|healthz|livez|readyz)(?:\/|$))/u;
/** Cluster-scoped, but about the asker alone. */
const selfReviews = new Set(['selfsubjectaccessreviews', 'selfsubjectrulesreviews', 'selfsubjectreviews']);

/**
 * Why an account does not allow a request, in the words of the API server; undefined: it does.
 * @throws as ApiResources.isNamespaced(), which is asked only if the namespaces of the account depend on it
 */
export async function refusedByAccount(
  info: RequestInfo,
  upgrade: string,
  level: AccessLevel,
  cluster: CoveredCluster,
  signal: AbortSignal,
): Promise<string | undefined> {
  const account = `account "${cluster.name}"`;
  const forbidden = (why: string): string => `${subject(info)}: ${account} ${why}`;
  if (level === 'off') {
    return forbidden(
      `is not open to requests of the Kubernetes API: set ${setting('apiAccess')} to "read" or "full" in the configuration of its agent`,
    );
  }
  const unreadable = level === 'read' ? refusedByRead(info, upgrade) : undefined;
  if (unreadable !== undefined) {
    return forbidden(`is open for reading only (${setting('apiAccess')} of its agent is "read"): ${unreadable}`);
  }
  const why = await outside(info, cluster, signal);
  return why === undefined ? undefined : forbidden(why);
}

async function outside(info: RequestInfo, cluster: CoveredCluster, signal: AbortSignal): Promise<string | undefined> {
  const { namespaces, omitNamespaces, onlyNamespacedResources } = cluster.options;
  const restricted = namespaces.length > 0 || omitNamespaces.length > 0;
  if (!restricted && !onlyNamespacedResources) return undefined;
  const { isResource, path, group, resource, subresource, namespace, name, verb } = info;
  if (!isResource) {
    return aboutTheApi.test(path) ? undefined : `has a restriction to namespaces, and ${path} belongs to none`;
  }
  const uncovered = (which: string): string | undefined => {
    if (cluster.covers(which)) return undefined;
    const by = omitNamespaces.includes(which)
      ? `excluded from it (${setting('omitNamespaces')})`
      : `not one of its namespaces (${setting('namespaces')})`;
    return `does not cover namespace "${which}", which is ${by}`;
  };
  // The API server reads the name of a namespace as the namespace of the request, too.
  const isNamespace = group === '' && resource === 'namespaces';
  if (namespace !== '' && !isNamespace) return uncovered(namespace);
  if (group.endsWith('.k8s.io') && selfReviews.has(resource)) return undefined;
  if (isNamespace) {
    if (!cluster.covers('')) return withoutClusterScoped();
    return name === '' ? undefined : uncovered(name);
  }
  // Leads to the pods of every namespace.
  if (group === '' && resource === 'nodes' && (subresource === 'proxy' || verb === 'proxy')) {
    return 'has a restriction to namespaces, and a node has pods of all of them';
  }
  const namespaced = await cluster.resources.isNamespaced(group, resource, signal);
  if (namespaced === false) return cluster.covers('') ? undefined : withoutClusterScoped();
  if (!restricted && namespaced === true) return undefined;
  return namespaced === undefined
    ? 'has a restriction to namespaces, and its cluster does not say whether this resource belongs to one'
    : `does not cover all namespaces: name one of them (${setting('namespaces')}, ${setting('omitNamespaces')})`;
}

function withoutClusterScoped(): string {
  return `does not cover cluster-scoped resources (${setting('onlyNamespacedResources')})`;
}

/** As NewForbidden() of k8s.io/apimachinery: `pods "web" is forbidden`. */
function subject({ isResource, resource, group, name, path }: RequestInfo): string {
  if (!isResource) return `path "${path}" is forbidden`;
  const qualified = group === '' ? resource : `${resource}.${group}`;
  return name === '' ? `${qualified} is forbidden` : `${qualified} "${name}" is forbidden`;
}
