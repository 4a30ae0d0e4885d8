/** The stream of one account, through which a source sends its objects. */

import type { ClientDuplexStream } from '@grpc/grpc-js';
import type {
  CachingMessage,
  CachingReply,
  KindSelection,
  ObjectEvent_Type,
  ResumePoint,
} from '../protocol/generated/events/caching_pb.js';

export type CachingCall = ClientDuplexStream<Uint8Array, CachingReply>;

/** A change of what the agent caches, by account name. */
export interface CachingChange {
  readonly start: readonly string[];
  readonly stop: readonly string[];
}

/**
 * Streams one account: each wanted scope, from its resume point or else from a snapshot, until the signal
 * aborts. Called again after every loss of the stream. If it rejects, it is called again later.
 */
export type StreamAccount = (account: string, sink: CachingSink, signal: AbortSignal) => Promise<void>;

/** A change of one object. */
export interface CachingEvent {
  readonly type: ObjectEvent_Type;
  /** The Kubernetes object as JSON. */
  readonly object: Uint8Array;
}

/** A part of an account that is listed and watched by itself. */
export interface CachingScope {
  readonly apiVersion: string;
  readonly kind: string;
  /** '': all namespaces. */
  readonly namespace: string;
}

/** Each call resolves once there is room for more. @throws the account's signal's reason */
export interface CachingSink {
  /** Whether the gateway keeps objects of this kind. */
  wants(scope: Pick<CachingScope, 'apiVersion' | 'kind'>): boolean;
  /** The resourceVersion that a watch may resume from; undefined: a snapshot comes first. */
  resumePoint(scope: CachingScope): string | undefined;
  snapshotStart(scope: CachingScope): Promise<void>;
  snapshotEnd(scope: CachingScope, resourceVersion: string): Promise<void>;
  /** @param resourceVersion the resume point after these events; '' inside a snapshot */
  events(scope: CachingScope, events: readonly CachingEvent[], resourceVersion: string): Promise<void>;
}

type Send = (message: (sequence: bigint) => CachingMessage['message'], signal: AbortSignal) => Promise<void>;

export class AccountStream implements CachingSink {
  readonly #account: string;
  readonly #kinds: KindSelection | undefined;
  readonly #points: ReadonlyMap<string, string>;
  readonly #send: Send;
  readonly #abort = new AbortController();

  constructor(account: string, kinds: KindSelection | undefined, points: readonly ResumePoint[], send: Send) {
    this.#account = account;
    this.#kinds = kinds;
    this.#send = send;
    this.#points = new Map(
      points.flatMap(({ scope, resourceVersion }) => (scope === undefined ? [] : [[keyOf(scope), resourceVersion]])),
    );
  }

  run(source: (account: string, sink: CachingSink, signal: AbortSignal) => Promise<void>): Promise<void> {
    return source(this.#account, this, this.#abort.signal);
  }

  abort(): void {
    this.#abort.abort(new Error(`account ${this.#account} is no longer cached`));
  }

  wants({ apiVersion, kind }: Pick<CachingScope, 'apiVersion' | 'kind'>): boolean {
    if (this.#kinds === undefined) return true;
    const { all, kinds, omitted } = this.#kinds;
    const group = groupOf(apiVersion);
    return (all || isNamed({ kind, group }, kinds)) && !isNamed({ kind, group }, omitted);
  }

  resumePoint(scope: CachingScope): string | undefined {
    return this.#points.get(keyOf(scope));
  }

  snapshotStart(scope: CachingScope): Promise<void> {
    return this.#snapshot('snapshotStart', scope, '');
  }

  snapshotEnd(scope: CachingScope, resourceVersion: string): Promise<void> {
    return this.#snapshot('snapshotEnd', scope, resourceVersion);
  }

  events(scope: CachingScope, events: readonly CachingEvent[], resourceVersion: string): Promise<void> {
    return this.#send(
      (sequence) => ({
        case: 'events',
        value: {
          $typeName: 'events.ObjectEvents',
          sequence,
          scope: this.#scope(scope),
          events: events.map(({ type, object }) => ({ $typeName: 'events.ObjectEvent', type, object })),
          resourceVersion,
        },
      }),
      this.#abort.signal,
    );
  }

  #snapshot(bracket: 'snapshotStart' | 'snapshotEnd', scope: CachingScope, resourceVersion: string): Promise<void> {
    return this.#send(
      (sequence) => ({
        case: bracket,
        value: { $typeName: 'events.Snapshot', sequence, scope: this.#scope(scope), resourceVersion },
      }),
      this.#abort.signal,
    );
  }

  #scope({ apiVersion, kind, namespace }: CachingScope) {
    return { $typeName: 'events.Scope', account: this.#account, apiVersion, kind, namespace } as const;
  }
}

/**
 * Whether a kind is in a list of names, "Deployment" or with its group "Certificate.cert-manager.io", ignoring case.
 */
export function isNamed(
  { kind, group }: { readonly kind: string; readonly group: string },
  list: readonly string[],
): boolean {
  const names = [kind, `${kind}.${group}`].map((name) => name.toLowerCase());
  return list.some((name) => names.includes(name.toLowerCase()));
}

function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/');
  return slash === -1 ? '' : apiVersion.slice(0, slash);
}

/** Without the version, which does not matter for resuming. */
function keyOf({ apiVersion, kind, namespace }: CachingScope): string {
  return `${namespace}_${groupOf(apiVersion)}_${kind}`;
}
