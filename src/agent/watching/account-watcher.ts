/**
 * Streams one account: finds the cluster's kinds that both the account and the gateway want, and watches each.
 * Follows kinds that come and go while it runs (custom resources).
 */

import { messageOf } from '../../core/errors.js';
import { jittered, wait } from '../../core/retry.js';
import { isNamed, type CachingSink, type StreamAccount } from '../caching-sink.js';
import { apiVersionOf, type ApiResource } from '../kubernetes/api-resources.js';
import type { Cluster } from '../kubernetes/cluster.js';
import { watchScope, type WatchedScope, type WatchingOptions } from './scope-watcher.js';

/** The part of its cluster that an account caches. */
export interface CachedKinds {
  /** "Deployment", or with its group "Certificate.cert-manager.io"; empty: all that the gateway wants. */
  readonly kinds: readonly string[];
  readonly omitKinds: readonly string[];
  /** '': all objects. */
  readonly labelSelector: string;
}

export interface WatchedAccount {
  readonly cluster: Cluster;
  readonly cached: CachedKinds;
}

export interface AccountWatcherOptions extends WatchingOptions {
  readonly accountOf: (name: string) => WatchedAccount | undefined;
  /** How often the cluster's kinds are read, in ms. */
  readonly kindsPeriodMs: number;
}

export function createStreamAccount(options: AccountWatcherOptions): StreamAccount {
  return async (name, sink, signal) => {
    const account = options.accountOf(name);
    if (account === undefined) throw new Error(`this agent does not serve account "${name}"`);
    const { cluster, cached } = account;
    const running = new Map<string, { readonly controller: AbortController; readonly ended: Promise<void> }>();
    try {
      for (
        let resources = await cluster.resources.read(signal);
        ;
        resources = await kindsLater(cluster, options, signal)
      ) {
        const wanted = new Map(scopesOf(resources, account, sink).map((scope) => [keyOf(scope), scope]));
        for (const [key, { controller }] of running)
          if (!wanted.has(key)) controller.abort(new Error('the cluster no longer has the kind'));
        for (const [key, scope] of wanted) {
          if (running.has(key)) continue;
          const controller = new AbortController();
          const ended = watchScope({ ...scope, labelSelector: cached.labelSelector }, sink, options, controller.signal)
            .catch(() => undefined)
            .finally(() => running.delete(key));
          running.set(key, { controller, ended });
        }
      }
    } finally {
      const rest = [...running.values()];
      for (const { controller } of rest) controller.abort(signal.reason);
      await Promise.all(rest.map(({ ended }) => ended));
    }
  };
}

/** Waits, then reads the kinds again: an API server that does not answer changes nothing. */
async function kindsLater(
  cluster: Cluster,
  { kindsPeriodMs, random, logger }: AccountWatcherOptions,
  signal: AbortSignal,
): Promise<readonly ApiResource[]> {
  for (;;) {
    await wait(jittered(kindsPeriodMs, 0.25, random), signal);
    try {
      return await cluster.resources.read(signal);
    } catch (error) {
      signal.throwIfAborted();
      logger.warn(
        { account: cluster.name, error: messageOf(error) },
        'cannot read the kinds of the cluster; keeping the known ones',
      );
    }
  }
}

type Scope = Omit<WatchedScope, 'labelSelector'>;

function scopesOf(resources: readonly ApiResource[], { cluster, cached }: WatchedAccount, sink: CachingSink): Scope[] {
  const seen = new Set<string>();
  const { namespaces, onlyNamespacedResources } = cluster.options;
  return resources.flatMap((resource) => {
    const { group, kind, verbs, namespaced } = resource;
    // The preferred version of each group comes first.
    const key = `${kind}.${group}`;
    if (seen.has(key) || !verbs.includes('list') || !verbs.includes('watch')) return [];
    if (!isCached(resource, cached) || !sink.wants({ apiVersion: apiVersionOf(resource), kind })) return [];
    seen.add(key);
    if (!namespaced) return onlyNamespacedResources ? [] : [{ cluster, resource, namespace: '' }];
    const where = namespaces.length === 0 ? [''] : namespaces.filter((namespace) => cluster.covers(namespace));
    return where.map((namespace) => ({ cluster, resource, namespace }));
  });
}

function isCached(resource: ApiResource, { kinds, omitKinds }: CachedKinds): boolean {
  return (kinds.length === 0 || isNamed(resource, kinds)) && !isNamed(resource, omitKinds);
}

function keyOf({ resource: { group, kind }, namespace }: Scope): string {
  return `${namespace}_${group}_${kind}`;
}
