/** The context of an operation: the account's cluster, the namespaces that it covers, and how requests are sent. */

import { create } from '@bufbuild/protobuf';
import { retry } from '../../core/retry.js';
import { stringifyJson } from '../../documents/exact-json.js';
import { ApiError, type ApiRequest, type KubernetesObject } from '../../kubernetes/client.js';
import { ObjectsSchema, type ObjectReference } from '../../protocol/generated/ops/operations_pb.js';
import type { Execution } from '../operation-results.js';
import { pathOf, type ApiResource } from './api-resources.js';
import type { Cluster } from './cluster.js';
import { withRetries, type Retries } from './retries.js';

/** A failure as Kubernetes' own clients, or its API, would report it. */
export function refuse(status: number, reason: string, message: string): ApiError {
  return new ApiError(status, message, message, reason);
}

/** One object of a cluster. */
export interface TargetObject {
  readonly resource: ApiResource;
  /** '' for cluster-scoped kinds. */
  readonly namespace: string;
  readonly name: string;
  readonly path: string;
}

/** Like client-go's retry.DefaultBackoff, with room for controllers that write all the time. */
const conflictBackoff = { initialMs: 10, maximumMs: 500, multiplier: 2, jitter: 0.5 };

export interface WorkOptions {
  /** Written into `metadata.managedFields` if the caller names none. */
  readonly fieldManager: string;
  readonly retries: Retries;
  readonly signal: AbortSignal;
  /** The caller's answer for a thrown error. */
  readonly failure: (thrown: unknown) => Execution;
}

export class Work {
  readonly cluster: Cluster;
  readonly fieldManager: string;
  readonly signal: AbortSignal;
  readonly failure: WorkOptions['failure'];
  readonly #retries: Retries;

  constructor(cluster: Cluster, { fieldManager, retries, signal, failure }: WorkOptions) {
    this.cluster = cluster;
    this.fieldManager = fieldManager;
    this.signal = signal;
    this.failure = failure;
    this.#retries = retries;
  }

  /** Runs a task again if the known kinds of the cluster are out of date: an unknown path has no effect. */
  async withFreshKinds<T>(task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } catch (error) {
      // For a missing object the API gives a reason.
      if (!(error instanceof ApiError && error.status === 404 && error.reason === '')) throw error;
      this.cluster.resources.forget();
      return task();
    }
  }

  /** The kind of a reference or manifest. @throws ApiError 400, 404 */
  async resource(apiVersion: string, kind: string): Promise<ApiResource> {
    if (kind === '') throw refuse(400, 'BadRequest', 'object.kind: expected a kind such as "Deployment"');
    return this.call(true, () => this.cluster.resources.find(apiVersion, kind, this.signal));
  }

  /** @throws ApiError 400, 403 (not covered by the account), 404 (no such kind) */
  async target(object: ObjectReference | undefined, subresource?: string): Promise<TargetObject> {
    const { apiVersion = '', kind = '', namespace = '', name = '' } = object ?? {};
    if (name === '') throw refuse(400, 'BadRequest', 'object.name: expected a name');
    const resource = await this.resource(apiVersion, kind);
    return this.targetOf(resource, namespace, name, subresource);
  }

  /** @throws ApiError 400, 403 */
  targetOf(resource: ApiResource, given: string, name: string, subresource?: string): TargetObject {
    checkSegment('name', name);
    const namespace = this.namespaceOf(resource, given);
    return { resource, namespace, name, path: pathOf(resource, namespace, name, subresource) };
  }

  /**
   * The namespace of an object of the kind; none means "default", as everywhere in Kubernetes.
   * @throws ApiError 400, 403
   */
  namespaceOf(resource: ApiResource, given: string): string {
    checkSegment('namespace', given);
    const namespace = resource.namespaced ? given || 'default' : '';
    if (this.cluster.covers(namespace)) return namespace;
    const what = namespace === '' ? `${resource.name}, which have no namespace` : `namespace "${namespace}"`;
    throw refuse(403, 'Forbidden', `account "${this.cluster.name}" does not cover ${what}`);
  }

  /** Sends a request. @param repeatable whether it may be sent twice. @throws ApiError; the error of the connection */
  send<T = KubernetesObject>(request: ApiRequest, repeatable = request.method === 'GET'): Promise<T> {
    return this.call(repeatable, () => this.cluster.client.call(request, this.signal)) as Promise<T>;
  }

  /** The object at a path; undefined if there is none. @throws as send() */
  async find(path: string): Promise<KubernetesObject | undefined> {
    try {
      return await this.send({ method: 'GET', path });
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  /**
   * Runs a task that reads an object and writes it back; repeats it if somebody else wrote first (409).
   * @throws the last conflict; any other error of the task
   */
  readThenWrite<T>(task: () => Promise<T>): Promise<T> {
    const retryable = (error: unknown): boolean =>
      error instanceof ApiError && (error.reason === 'Conflict' || error.reason === 'AlreadyExists');
    return retry(task, { signal: this.signal, attempts: 10, backoff: conflictBackoff, retryable });
  }

  call<T>(repeatable: boolean, task: (attempt: number) => Promise<T>): Promise<T> {
    return withRetries(this.#retries, repeatable, this.signal, task);
  }
}

/** client-go's rule (IsValidPathSegmentName): such a name would lead to another object. @throws ApiError 400 */
function checkSegment(field: 'name' | 'namespace', value: string): void {
  if (value !== '.' && value !== '..' && !/[/%]/u.test(value)) return;
  throw refuse(
    400,
    'BadRequest',
    `${field}: "${value}" is not a ${field}: it may not be "." or "..", or contain "/" or "%"`,
  );
}

export function objects(manifests: readonly object[], continuation = ''): Execution {
  const bytes = manifests.map((manifest) => Buffer.from(stringifyJson(manifest)));
  return {
    status: 200,
    body: { case: 'objects', value: create(ObjectsSchema, { manifests: bytes, continue: continuation }) },
  };
}
