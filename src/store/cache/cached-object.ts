/** What is written to kubesvc_cache, kubesvc_cache_rel and kubesvc_resourceversion. */

/** An object of a cluster, as it was sent. */
export interface CachedObject {
  /** `kubernetes.v2:infrastructure:<kind>:<account>:<namespace>:<name>`. */
  readonly id: string;
  readonly account: string;
  /** As in the id. */
  readonly kind: string;
  /** '' for objects that are in none. */
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
  /** What the object is related to: an object's id, or `kubernetes.v2:logical:applications:<name>`. */
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

/** An agent's connection: its accounts' caching is given to it by kubesvc_assignments. */
export interface CachingAgent {
  readonly agentId: string;
  readonly epoch: number;
  /** Whose the accounts have to be; absent: nobody has to prove anything. */
  readonly owner?: string | undefined;
}

/** Who writes an account: it must hold its caching with exactly this number, or nothing is written. */
export interface CachingHolder extends CachingAgent {
  /** Of the start of its streaming; grows with every such start in the whole cluster. */
  readonly stream: number;
}

/** Changes of one stream that are committed together. They commute: each id and each scope is there once. */
export interface CacheWrite {
  readonly agent: CachingAgent;
  /** By account; what is not in it is not written. */
  readonly streams: ReadonlyMap<string, number>;
  readonly objects: readonly CachedObject[];
  readonly deleted: readonly { readonly account: string; readonly id: string }[];
  /** Snapshots that are complete, by their number at the sender: objects of the scope from before it are gone. */
  readonly snapshots: readonly { readonly scope: CacheScope; readonly number: number }[];
  /** Where a watch may resume from now on; '': there is no such point until a snapshot is complete. */
  readonly versions: readonly { readonly scope: CacheScope; readonly resourceVersion: string }[];
}

export interface CacheWriteOutcome {
  /** Accounts whose changes were dropped, because the stream does not hold their caching. */
  readonly lost: readonly string[];
  /** Objects that were removed because complete snapshots of this write did not contain them. */
  readonly removed: number;
}

/** Where a stream begins. */
export interface CachingStart {
  /** Those that it may write, with the numbers of their streams. */
  readonly streams: ReadonlyMap<string, number>;
  readonly points: readonly StoredResumePoint[];
}

export interface StoredResumePoint {
  readonly account: string;
  /** `<namespace>_<group>_<kind>`. */
  readonly key: string;
  readonly resourceVersion: string;
}
