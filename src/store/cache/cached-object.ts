/** Data that is written to kubesvc_cache, kubesvc_cache_rel and kubesvc_resourceversion. */

/** An object of a cluster, as it was sent. */
export interface CachedObject {
  /** `kubernetes.v2:infrastructure:<kind>:<account>:<namespace>:<name>`. */
  readonly id: string;
  readonly account: string;
  /** As in the id. */
  readonly kind: string;
  /** '' for objects without one. */
  readonly namespace: string;
  /** Of Spinnaker. */
  readonly application: string | undefined;
  readonly relations: readonly CachedRelation[];
  /** How many snapshots the sender had begun when it sent this. */
  readonly snapshots: number;
  /** JSON in UTF-8, valid as both. */
  readonly body: Uint8Array;
}

export interface CachedRelation {
  /** The related item: an object's id, or `kubernetes.v2:logical:applications:<name>`. */
  readonly id: string;
  /** Kind of the owner, or `applications`. */
  readonly type: string;
}

/** A part of an account that is listed and watched by itself. */
export interface CacheScope {
  readonly account: string;
  /** As in kubesvc_cache. */
  readonly kind: string;
  /** '': all namespaces. */
  readonly namespace: string;
  /** `<namespace>_<group>_<kind>`. */
  readonly key: string;
}

/** An agent's connection: kubesvc_assignments says which accounts it caches. */
export interface CachingAgent {
  readonly agentId: string;
  readonly epoch: number;
  /** What the accounts must be bound to; absent: authentication is off. */
  readonly principal?: string | undefined;
}

/** The stream that writes an account: it must be the caching stream with exactly this number, or nothing is written. */
export interface CachingHolder extends CachingAgent {
  /** Of the start of its streaming; grows with every such start in the whole cluster. */
  readonly stream: number;
}

/** Changes of one stream that are committed together. They commute: each id and each scope occurs once. */
export interface CacheWrite {
  readonly agent: CachingAgent;
  /** By account; other accounts are not written. */
  readonly streams: ReadonlyMap<string, number>;
  readonly objects: readonly CachedObject[];
  readonly deleted: readonly { readonly account: string; readonly id: string }[];
  /** Snapshots that are complete, by their number at the sender: objects of the scope from before it are gone. */
  readonly snapshots: readonly { readonly scope: CacheScope; readonly number: number }[];
  /** Resume points of watches from now on; '': none until a snapshot is complete. */
  readonly versions: readonly { readonly scope: CacheScope; readonly resourceVersion: string }[];
}

export interface CacheWriteOutcome {
  /** Accounts whose changes were dropped, because the stream does not hold their caching. */
  readonly lost: readonly string[];
  /** Objects that were removed because complete snapshots of this write did not contain them. */
  readonly removed: number;
}

/** The start of a stream. */
export interface CachingStart {
  /** The accounts that it may write, with the numbers of their streams. */
  readonly streams: ReadonlyMap<string, number>;
  readonly points: readonly StoredResumePoint[];
}

export interface StoredResumePoint {
  readonly account: string;
  /** `<namespace>_<group>_<kind>`. */
  readonly key: string;
  readonly resourceVersion: string;
}
