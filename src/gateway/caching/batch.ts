/** Collects the messages of one stream into one write: the last change of each object or scope wins. */

import type { CachedObject, CacheScope, CacheWrite, CachingAgent } from '../../store/cache/cached-object.js';

export class Batch {
  /** undefined: deleted. */
  readonly #objects = new Map<string, { readonly account: string; readonly object: CachedObject | undefined }>();
  readonly #snapshots = new Map<string, { readonly scope: CacheScope; readonly number: number }>();
  readonly #versions = new Map<string, { readonly scope: CacheScope; readonly resourceVersion: string }>();
  /** Events that will be committed, by type. */
  readonly events = { added: 0, modified: 0, deleted: 0 };
  /** Of the last message in it; 0: none. */
  sequence = 0;
  /** When the first message in it came (monotonic ms). */
  since = Number.POSITIVE_INFINITY;
  bytes = 0;

  get size(): number {
    return this.#objects.size;
  }

  put(object: CachedObject): void {
    this.#objects.set(object.id, { account: object.account, object });
  }

  delete(account: string, id: string): void {
    this.#objects.set(id, { account, object: undefined });
  }

  /** Objects of the scope that were not sent since the stream's snapshot of this number no longer exist. */
  complete(scope: CacheScope, number: number): void {
    this.#snapshots.set(keyOf(scope), { scope, number });
  }

  /** A watch of the scope may resume here; '': a snapshot has begun, so there is no resume point until it ends. */
  version(scope: CacheScope, resourceVersion: string): void {
    this.#versions.set(keyOf(scope), { scope, resourceVersion });
  }

  finish(agent: CachingAgent, streams: ReadonlyMap<string, number>): CacheWrite {
    const objects: CachedObject[] = [];
    const deleted: { account: string; id: string }[] = [];
    for (const [id, { account, object }] of this.#objects) {
      if (object === undefined) deleted.push({ account, id });
      else objects.push(object);
    }
    return {
      agent,
      streams,
      objects,
      deleted,
      snapshots: [...this.#snapshots.values()],
      versions: [...this.#versions.values()],
    };
  }
}

function keyOf({ account, key }: CacheScope): string {
  return `${account}:${key}`;
}
