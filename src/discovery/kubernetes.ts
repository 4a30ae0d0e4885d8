/**
 * Discovery through the Kubernetes API: the pods behind Services whose name has a prefix. Lists once, then watches from
 * there, EndpointSlices where permitted and Endpoints otherwise. No matter what ends a watch, the next one begins at
 * the last version seen, with fresh credentials on a fresh connection; it lists again only if that version has expired.
 */

import { GatewayError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { backoffMs, defaultBackoff, wait, type Backoff } from '../core/retry.js';
import { unlessAborted, withDeadline } from '../core/deadline.js';
import type { Discovery } from './discovery.js';
import type { ApiAccess } from '../kubernetes/access.js';
import { ApiClient, ApiError, type KubernetesObject, type ObjectList } from '../kubernetes/client.js';
import { openAccess, type CredentialOptions } from '../kubernetes/credentials.js';
import { KeptCredentials } from '../kubernetes/kept-credentials.js';
import { isMeant, mergeMembers, type MergeOptions } from './kubernetes/merge.js';
import { permissionMessage, serviceAccountOf } from './kubernetes/permission.js';
import { endpoints, endpointSlices, type Source } from './kubernetes/sources.js';
import { Membership } from './membership.js';

export interface KubernetesDiscoveryOptions extends CredentialOptions {
  readonly logger: Logger;
  /** Default: the pod's own, or the kubeconfig's. */
  readonly namespace?: string | undefined;
  /** Default `spin-clouddriver`. */
  readonly clouddriverServiceNamePrefix?: string | undefined;
  /** Compared without regard to case; default `http`. */
  readonly httpPortName?: string | undefined;
  /** The protocol to reach members with; default `http`. */
  readonly scheme?: 'http' | 'https' | undefined;
  /** Reach members by the DNS names of their pods instead of their addresses; default false. */
  readonly useDNS?: boolean | undefined;
  /** Default `cluster.local`. */
  readonly domainName?: string | undefined;
  /** Whether start() fails if it lacks the permission to list and watch, or cannot reach the API; default true. */
  readonly failFast?: boolean | undefined;
  /** How long start() tries to reach the API, in ms; default 10,000. */
  readonly startTimeoutMs?: number | undefined;
  /** How long one answer of the API may take, in ms; default 10,000. */
  readonly requestTimeoutMs?: number | undefined;
  /**
   * The server ends each watch after this time, in s; default 45. A watch that has not ended `watchMarginMs` (default
   * 5,000) later is dead, so together they limit how long a half-open connection goes unnoticed.
   */
  readonly watchTimeoutSeconds?: number | undefined;
  readonly watchMarginMs?: number | undefined;
  readonly backoff?: Backoff | undefined;
}

/**
 * After this many consecutive failed attempts to resume a watch, the version may be the cause: everything is listed
 * anew.
 */
const attemptsToResume = 5;
/** A watch that the server ends sooner than this, without an event, counts as failed, which prevents a tight loop. */
const shortestWatchMs = 1_000;

interface Position {
  readonly source: Source;
  readonly version: string;
}

export class KubernetesDiscovery extends Membership implements Discovery {
  readonly #options: KubernetesDiscoveryOptions;
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  readonly #objects = new Map<string, KubernetesObject>();
  readonly #kept = new KeptCredentials();
  /**
   * The watched resource, and the version from which the next watch begins. Undefined: check permissions and list
   * first.
   */
  #position: Position | undefined;
  /** Consecutive failed attempts. */
  #failures = 0;
  #following: Promise<void> | undefined;

  constructor(options: KubernetesDiscoveryOptions) {
    // The API server runs before the replica does: an error from it at the start needs an operator.
    super(options.logger, 0);
    this.#options = options;
    this.#backoff = options.backoff ?? defaultBackoff;
  }

  async start(signal: AbortSignal): Promise<void> {
    const { failFast = true, startTimeoutMs = 10_000 } = this.#options;
    const started = new Promise<void>((resolve, reject) => {
      this.#following = this.#follow((error) => {
        if (error === undefined || !failFast) resolve();
        else if (error instanceof GatewayError && error.code !== 'timed-out') reject(error);
      });
    });
    try {
      await withDeadline(startTimeoutMs, signal, 'Kubernetes', (limit) => unlessAborted(started, limit));
    } catch (error) {
      const last = this.state().error ?? '';
      await this.stop();
      if (signal.aborted || (error instanceof GatewayError && error.code !== 'timed-out')) throw error;
      const message = `cannot find the instances in Kubernetes: ${last}`;
      throw new GatewayError('dependency-unavailable', message, { field: 'kubesvc.cluster-kubernetes', cause: error });
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('discovery stopped'));
    await this.#following;
    this.setStopped();
  }

  /** Nothing to do: the kubelet checks `/readyz`, and the API reports the result. */
  setReady(): void {}

  async #follow(onOutcome: (error?: unknown) => void): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const began = performance.now();
      try {
        await this.#attempt(onOutcome, signal);
        // The watch ended normally. The members stay known while the next watch resumes.
        if (performance.now() - began >= shortestWatchMs) this.#failures = 0;
        else this.#failures += 1;
      } catch (error) {
        if (signal.aborted) return;
        this.#failures += 1;
        if (error instanceof ApiError && error.status === 401) this.#kept.forget();
        if (makesUseless(error) || this.#failures > attemptsToResume) this.#position = undefined;
        this.setUnknown(error);
        onOutcome(error);
      }
      if (this.#failures > 0) await wait(backoffMs(this.#backoff, this.#failures - 1), signal).catch(() => undefined);
    }
  }

  /** One connection: lists if need be, then watches until the server ends it. */
  async #attempt(onListed: () => void, signal: AbortSignal): Promise<void> {
    const timeoutMs = this.#options.requestTimeoutMs ?? 10_000;
    const access = await withDeadline(timeoutMs, signal, 'reading the Kubernetes credentials', (limit) =>
      openAccess(this.#options, limit, this.#kept),
    );
    try {
      const client = new ApiClient(access, timeoutMs);
      const merge = this.#mergeOptions(access);
      this.#position ??= await this.#list(client, access, merge, signal);
      onListed();
      await this.#watch(client, this.#position, merge, signal);
    } finally {
      await access.dispatcher.destroy();
    }
  }

  /** Lists the better of the two resources, if it is permitted and this API server has it. */
  async #list(client: ApiClient, access: ApiAccess, merge: MergeOptions, signal: AbortSignal): Promise<Position> {
    const { namespace } = merge;
    for (const source of [endpointSlices, endpoints]) {
      if (!(await mayFollow(client, source, namespace, signal))) continue;
      const found = await listAll(client, source, merge, signal);
      if (found === undefined) continue;
      const { objects, version } = found;
      this.logger.info({ namespace, resource: source.resource, version }, 'cluster members listed');
      this.#objects.clear();
      for (const object of objects) this.#objects.set(object.metadata.name, object);
      this.#publish(source, merge);
      this.setKnown();
      return { source, version };
    }
    const { authorization } = access.headers;
    const account = serviceAccountOf(typeof authorization === 'string' ? authorization : undefined);
    const field = 'kubesvc.cluster-kubernetes';
    throw new GatewayError('permission-denied', permissionMessage(namespace, account), { field });
  }

  async #watch(client: ApiClient, position: Position, merge: MergeOptions, signal: AbortSignal): Promise<void> {
    const { watchTimeoutSeconds = 45, watchMarginMs = 5_000 } = this.#options;
    const { source, version } = position;
    const query = { resourceVersion: version, timeoutSeconds: String(watchTimeoutSeconds) };
    const limitMs = watchTimeoutSeconds * 1_000 + watchMarginMs;
    await withDeadline(limitMs, signal, 'a watch that the Kubernetes API should have ended', async (limit) => {
      const events = await client.watch(source.path(merge.namespace), query, limit);
      this.setKnown();
      for await (const { type, object } of events) {
        this.#failures = 0;
        this.#position = { source, version: object.metadata.resourceVersion };
        if (type === 'BOOKMARK') continue;
        if (type === 'DELETED' || !isMeant(source, object, merge)) this.#objects.delete(object.metadata.name);
        else this.#objects.set(object.metadata.name, object);
        this.#publish(source, merge);
      }
    });
  }

  #publish(source: Source, merge: MergeOptions): void {
    this.replace(mergeMembers(source, this.#objects.values(), merge));
  }

  #mergeOptions(access: ApiAccess): MergeOptions {
    const { namespace, clouddriverServiceNamePrefix, httpPortName, scheme, useDNS, domainName } = this.#options;
    return {
      namespace: namespace ?? access.namespace ?? 'default',
      serviceNamePrefix: clouddriverServiceNamePrefix ?? 'spin-clouddriver',
      portName: httpPortName ?? 'http',
      scheme: scheme ?? 'http',
      dnsDomain: useDNS === true ? (domainName ?? 'cluster.local') : undefined,
    };
  }
}

/** Whether no watch can resume from here: the version, the permission or the resource is gone. */
function makesUseless(error: unknown): boolean {
  return error instanceof ApiError && [403, 404, 410].includes(error.status);
}

/** SelfSubjectAccessReview, what `kubectl auth can-i` asks. If even that is forbidden, the list itself will show it. */
async function mayFollow(
  client: ApiClient,
  { group, resource }: Source,
  namespace: string,
  signal: AbortSignal,
): Promise<boolean> {
  for (const verb of ['list', 'watch']) {
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { namespace, verb, group, resource } },
    };
    const answer = await unlessRefused(
      client.post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review, signal),
    );
    if (answer !== undefined && (answer as { status?: { allowed?: boolean } }).status?.allowed !== true) return false;
  }
  return true;
}

/** All pages, which the API keeps to one version. Undefined if the resource is forbidden or does not exist. */
async function listAll(
  client: ApiClient,
  source: Source,
  merge: MergeOptions,
  signal: AbortSignal,
): Promise<{ objects: KubernetesObject[]; version: string } | undefined> {
  const objects: KubernetesObject[] = [];
  const query: Record<string, string> = { limit: '500' };
  for (;;) {
    const page = (await unlessRefused(client.get(source.path(merge.namespace), query, signal))) as
      ObjectList | undefined;
    if (page === undefined) return undefined;
    objects.push(...(page.items ?? []).filter((object) => isMeant(source, object, merge)));
    if (!page.metadata.continue) return { objects, version: page.metadata.resourceVersion };
    query['continue'] = page.metadata.continue;
  }
}

/** Undefined for 403 and 404. */
async function unlessRefused(request: Promise<unknown>): Promise<unknown> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 403 || error.status === 404)) return undefined;
    throw error;
  }
}
