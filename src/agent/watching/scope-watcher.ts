/**
 * Keeps the gateway's copy of one kind, in one namespace or all, in step with the API server: it resumes from the
 * gateway's stored position, or starts with a list (in pages, inside a snapshot), and then watches, each watch
 * beginning where the last one ended. It lists again only if the server has forgotten the version (410). It keeps no
 * objects.
 */

import { withDeadline } from '../../core/deadline.js';
import { messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { backoffMs, jittered, wait, type Backoff } from '../../core/retry.js';
import { ApiError, type KubernetesObject, type WatchEvent } from '../../kubernetes/client.js';
import { ObjectEvent_Type } from '../../protocol/generated/events/caching_pb.js';
import type { CachingEvent, CachingScope, CachingSink } from '../caching-sink.js';
import { apiVersionOf, pathOf, type ApiResource } from '../kubernetes/api-resources.js';
import type { Cluster } from '../kubernetes/cluster.js';
import type { ListBudget } from './list-budget.js';
import { objectBytes } from './object-bytes.js';

export interface WatchingOptions {
  readonly budget: ListBudget;
  readonly backoff: Backoff;
  /** A watch ends after this time at the latest, in s; the next one continues from there. */
  readonly watchSeconds: number;
  readonly observer: WatchingObserver;
  readonly logger: Logger;
  readonly random: () => number;
}

/** Observes lists and watches, for metrics. */
export interface WatchingObserver {
  listed(reason: 'first' | 'expired'): void;
  watching(change: 1 | -1): void;
  sent(objects: number): void;
  failed(what: 'list' | 'watch'): void;
}

export interface WatchedScope {
  readonly cluster: Cluster;
  readonly resource: ApiResource;
  /** '': all namespaces. */
  readonly namespace: string;
  /** '': all objects. */
  readonly labelSelector: string;
}

/** Objects of a page. Only the bytes to send are in memory, but of several pages of several kinds at the same time. */
const pageObjects = 100;
/** Objects of one message, which ends sooner when it has this many bytes. */
const messageBytes = 128 * 1_024;
/**
 * Each watch ends after 27 to 45 s, and the next one continues from there. A server that has not ended it ten seconds
 * later is dead: that is noticed within a minute, even behind a proxy that stays up. (client-go sends HTTP/2 pings, and
 * takes 45 s.)
 */
export const watchSeconds = 36;
/** Added to a watch's time: beyond it, the connection is dead. */
export const watchMarginMs = 10_000;

/** Runs until the signal aborts, or the cluster no longer has the kind. @throws the signal's reason */
export async function watchScope(
  watched: WatchedScope,
  sink: CachingSink,
  options: WatchingOptions,
  signal: AbortSignal,
): Promise<void> {
  const { cluster, resource, namespace } = watched;
  const scope: CachingScope = { apiVersion: apiVersionOf(resource), kind: resource.kind, namespace };
  const feed = new ScopeFeed(watched, scope, sink, options, signal);
  let failures = 0;
  feed.position = sink.resumePoint(scope);
  let reason: 'first' | 'expired' = 'first';
  while (!signal.aborted) {
    const doing = feed.position === undefined ? 'list' : 'watch';
    try {
      if (feed.position === undefined) await feed.list(reason);
      if (await feed.watch()) failures = 0;
      else failures += 1;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ApiError && (error.status === 404 || error.status === 405)) return;
      if (error instanceof ApiError && error.status === 410) {
        feed.position = undefined;
        reason = 'expired';
      }
      options.observer.failed(doing);
      failures += 1;
      // One line for each series of failures: a refused request (403) is refused every time.
      if (failures === 1) {
        const fields = { account: cluster.name, kind: resource.kind, namespace, error: messageOf(error) };
        options.logger.warn(fields, `cannot ${doing}; retrying`);
      }
    }
    if (failures > 0) await wait(backoffMs(options.backoff, failures - 1, options.random), signal);
  }
  signal.throwIfAborted();
}

class ScopeFeed {
  readonly #watched: WatchedScope;
  readonly #scope: CachingScope;
  readonly #sink: CachingSink;
  readonly #options: WatchingOptions;
  readonly #signal: AbortSignal;
  readonly #path: string;
  readonly #selector: Readonly<Record<string, string>>;
  /** The version that the next watch begins from. */
  position: string | undefined;

  constructor(
    watched: WatchedScope,
    scope: CachingScope,
    sink: CachingSink,
    options: WatchingOptions,
    signal: AbortSignal,
  ) {
    this.#watched = watched;
    this.#scope = scope;
    this.#sink = sink;
    this.#options = options;
    this.#signal = signal;
    this.#path = pathOf(watched.resource, watched.namespace);
    this.#selector = watched.labelSelector === '' ? {} : { labelSelector: watched.labelSelector };
  }

  async list(reason: 'first' | 'expired'): Promise<void> {
    const { cluster } = this.#watched;
    this.position = await this.#options.budget.run(cluster.name, this.#signal, async () => {
      this.#options.observer.listed(reason);
      await this.#sink.snapshotStart(this.#scope);
      let continuation: string | undefined;
      let version: string;
      do {
        const page = await this.#page(continuation);
        ({ version, continuation } = page);
        await this.#send(page.events, '');
      } while (continuation);
      await this.#sink.snapshotEnd(this.#scope, version);
      return version;
    });
  }

  async #page(continuation: string | undefined) {
    const query = {
      ...this.#selector,
      limit: String(pageObjects),
      ...(continuation ? { continue: continuation } : {}),
    };
    const events: VersionedEvent[] = [];
    const { client } = this.#watched.cluster;
    const metadata = await client.list(this.#path, query, this.#signal, (object) => {
      events.push(...this.#encode([{ type: 'ADDED', object }]));
    });
    return { events, version: metadata.resourceVersion, continuation: metadata.continue };
  }

  /** @returns whether anything arrived; false: the server ended the watch at once */
  async watch(): Promise<boolean> {
    const { random, observer } = this.#options;
    const seconds = Math.ceil(jittered(this.#options.watchSeconds, 0.25, random));
    const query = { ...this.#selector, resourceVersion: this.position ?? '', timeoutSeconds: String(seconds) };
    const began = performance.now();
    const limitMs = seconds * 1_000 + watchMarginMs;
    const { client } = this.#watched.cluster;
    let received = false;
    observer.watching(1);
    try {
      await withDeadline(limitMs, this.#signal, 'a watch that the API server should have ended', async (limit) => {
        for await (const events of await client.watchBatches(this.#path, query, limit)) {
          received = true;
          const version = events.at(-1)?.object.metadata.resourceVersion ?? '';
          await this.#send(this.#encode(events), version);
          this.position = version || this.position;
        }
      });
    } finally {
      observer.watching(-1);
    }
    return received || performance.now() - began >= 1_000;
  }

  #encode(
    changes: readonly { readonly type: WatchEvent['type']; readonly object: KubernetesObject }[],
  ): readonly VersionedEvent[] {
    return changes.flatMap(({ type, object }) => {
      if (type === 'BOOKMARK' || !this.#watched.cluster.covers(object.metadata.namespace ?? '')) return [];
      const version = object.metadata.resourceVersion;
      return [{ type: eventTypes[type], object: objectBytes(object, this.#scope), version }];
    });
  }

  /**
   * Sends messages of bounded size; the version goes with the last one, which may be empty, like a bookmark. Outside of
   * a snapshot each earlier message has the version of its own last event, because every message moves the resume
   * point.
   * @param version '' inside a snapshot
   */
  async #send(events: readonly VersionedEvent[], version: string): Promise<void> {
    let message: VersionedEvent[] = [];
    let bytes = 0;
    const flush = async (resourceVersion: string): Promise<void> => {
      await this.#sink.events(this.#scope, message, resourceVersion);
      this.#options.observer.sent(message.length);
      message = [];
      bytes = 0;
    };
    for (const event of events) {
      if (bytes > 0 && bytes + event.object.length > messageBytes)
        await flush(version && (message.at(-1)?.version ?? ''));
      message.push(event);
      bytes += event.object.length;
    }
    if (message.length > 0 || version !== '') await flush(version);
  }
}

/** An event, and the version of its object. */
interface VersionedEvent extends CachingEvent {
  readonly version: string;
}

const eventTypes = {
  ADDED: ObjectEvent_Type.ADDED,
  MODIFIED: ObjectEvent_Type.MODIFIED,
  DELETED: ObjectEvent_Type.DELETED,
} as const;
