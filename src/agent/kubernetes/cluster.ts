/** The cluster of an account: its access, its kinds, and the namespaces that the account covers. */

import { ApiClient } from '../../kubernetes/client.js';
import type { CredentialOptions } from '../../kubernetes/credentials.js';
import { RenewedAccess } from '../../kubernetes/renewed-access.js';
import { ApiResources } from './api-resources.js';

/** Whether manifests are applied server-side, if the caller does not say. */
export type ServerSideApply = 'allowed' | 'never';

export interface ClusterOptions {
  /** The account's name. */
  readonly name: string;
  readonly credentials: CredentialOptions;
  /** Empty: all namespaces. */
  readonly namespaces: readonly string[];
  readonly omitNamespaces: readonly string[];
  readonly onlyNamespacedResources: boolean;
  readonly serverSideApply: ServerSideApply;
  /** How long one answer of the API server may take, in ms. */
  readonly requestTimeoutMs: number;
}

export class Cluster {
  readonly options: ClusterOptions;
  readonly client: ApiClient;
  readonly resources: ApiResources;
  readonly access: RenewedAccess;

  constructor(options: ClusterOptions) {
    this.options = options;
    this.access = new RenewedAccess(options.credentials);
    this.client = new ApiClient(this.access, options.requestTimeoutMs);
    this.resources = new ApiResources(this.client);
  }

  get name(): string {
    return this.options.name;
  }

  /** Whether the account covers a namespace; '' stands for cluster-scoped objects. */
  covers(namespace: string): boolean {
    const { namespaces, omitNamespaces, onlyNamespacedResources } = this.options;
    if (namespace === '') return !onlyNamespacedResources;
    return (namespaces.length === 0 || namespaces.includes(namespace)) && !omitNamespaces.includes(namespace);
  }

  close(): Promise<void> {
    return this.access.close();
  }
}
