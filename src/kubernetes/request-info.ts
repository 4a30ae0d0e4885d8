/** What a request of the Kubernetes API asks for, read from its method and path as the API server reads them. */

/** As RequestInfo of k8s.io/apiserver (pkg/endpoints/request/requestinfo.go). */
export interface RequestInfo {
  /** Of an object or a kind; else only `verb` and `path` are set. */
  readonly isResource: boolean;
  /** "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"; without a resource the method. */
  readonly verb: string;
  /** Decoded, without the query. */
  readonly path: string;
  /** '' for the core group, for none, and so on. */
  readonly group: string;
  readonly version: string;
  /** '' for cluster-scoped objects and for all namespaces. */
  readonly namespace: string;
  /** In the plural: "pods". */
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
}

/** What may be done: nothing, reading without secrets and shells, or everything. */
export type AccessLevel = 'off' | 'read' | 'full';
