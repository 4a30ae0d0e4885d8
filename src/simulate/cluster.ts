/**
 * A simulated cluster: objects that change in steps. What it holds after a step depends on the seed and the step alone,
 * so that an agent that is killed and started again has the same cluster, and a test knows what must be cached.
 */

import { ObjectEvent_Type } from '../protocol/generated/events/caching_pb.js';
import type { CachingEvent, CachingScope } from '../agent/caching-sink.js';
import { manifest } from './kubernetes-objects.js';
import { derivedSeed, seededRandom } from './random.js';

export interface SimulatedClusterOptions {
  readonly seed: number;
  readonly objects: number;
  /** Least size of each, in bytes. */
  readonly objectBytes: number;
}

/** Of eight objects one is a Deployment, one its ReplicaSet, five are the Pods of that, and one is a Service. */
const kinds = ['Deployment', 'ReplicaSet', 'Pod', 'Pod', 'Pod', 'Pod', 'Pod', 'Service'] as const;
const groupSize = kinds.length;

export const simulatedScopes: readonly CachingScope[] = [
  { apiVersion: 'apps/v1', kind: 'Deployment', namespace: '' },
  { apiVersion: 'apps/v1', kind: 'ReplicaSet', namespace: '' },
  { apiVersion: 'v1', kind: 'Pod', namespace: '' },
  { apiVersion: 'v1', kind: 'Service', namespace: '' },
];

/** Steps that a watch can go back, as the API server's watch cache has a bound. */
const historyLimit = 10_000;
const deletedPart = 0.2;

interface Change {
  readonly type: ObjectEvent_Type;
  readonly index: number;
  readonly step: number;
}

export class SimulatedCluster {
  readonly #options: SimulatedClusterOptions;
  /** The step that changed an object last; 0: none did. */
  readonly #changed: Uint32Array;
  readonly #absent: Uint8Array;
  readonly #history: Change[] = [];
  readonly #watchers = new Set<() => void>();
  #step = 0;
  /** The result of prepare(), as long as it has not changed. */
  #prepared: (Uint8Array | undefined)[] = [];

  constructor(options: SimulatedClusterOptions) {
    this.#options = options;
    this.#changed = new Uint32Array(options.objects);
    this.#absent = new Uint8Array(options.objects);
  }

  /** Steps done so far. */
  get step(): number {
    return this.#step;
  }

  /** Makes every object now and keeps it in memory, so that making it costs nothing while it is streamed. */
  prepare(): void {
    const { objects } = this.#options;
    this.#prepared = Array.from({ length: objects }, (_, index) => this.#object(index, this.#at(index)));
  }

  /** Does `steps` changes. */
  advance(steps: number): void {
    const { seed, objects } = this.#options;
    if (objects === 0) return;
    for (let left = steps; left > 0; left -= 1) {
      const step = (this.#step += 1);
      const random = seededRandom(derivedSeed(seed, step));
      const index = Math.floor(random() * objects);
      const absent = this.#absent[index] === 1;
      const deletes = !absent && random() < deletedPart;
      this.#absent[index] = deletes ? 1 : 0;
      this.#changed[index] = step;
      this.#prepared[index] = undefined;
      const type = deletes ? ObjectEvent_Type.DELETED : absent ? ObjectEvent_Type.ADDED : ObjectEvent_Type.MODIFIED;
      this.#history.push({ type, index, step });
    }
    if (this.#history.length > 2 * historyLimit) this.#history.splice(0, this.#history.length - historyLimit);
    for (const wake of this.#watchers) wake();
  }

  /** Every object of a scope as it is at the moment it is asked for. */
  *list({ kind }: CachingScope): Generator<Uint8Array> {
    for (let index = 0; index < this.#options.objects; index += 1) {
      if (kinds[index % groupSize] !== kind || this.#absent[index] === 1) continue;
      yield this.#prepared[index] ?? this.#object(index, this.#at(index));
    }
  }

  /** Changes of a scope after a step, `limit` steps at most; undefined: too long ago, or not yet. */
  changes(
    { kind }: CachingScope,
    after: number,
    limit: number,
  ): { readonly events: readonly CachingEvent[]; readonly upTo: number } | undefined {
    const first = this.#history[0]?.step ?? this.#step + 1;
    if (after > this.#step || after < first - 1) return undefined;
    const changes = this.#history.slice(after - first + 1, after - first + 1 + limit);
    return {
      events: changes
        .filter(({ index }) => kinds[index % groupSize] === kind)
        .map(({ type, index, step }) => ({ type, object: this.#object(index, step) })),
      upTo: changes.at(-1)?.step ?? after,
    };
  }

  /** Waits for a change. @throws the signal's reason when it aborts first */
  async changed(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const settle = (finish: () => void): void => {
        this.#watchers.delete(wake);
        signal.removeEventListener('abort', abort);
        finish();
      };
      const wake = (): void => settle(resolve);
      const abort = (): void => settle(() => reject(signal.reason as Error));
      this.#watchers.add(wake);
      signal.addEventListener('abort', abort);
    });
  }

  #at(index: number): number {
    return this.#changed[index] ?? 0;
  }

  #object(index: number, step: number): Uint8Array {
    const { seed, objectBytes } = this.#options;
    const group = Math.floor(index / groupSize);
    const kind = kinds[index % groupSize] ?? 'Pod';
    const random = seededRandom(derivedSeed(seed, index) ^ Math.imul(step, 0x9e3779b1));
    const application = `app-${group % 100}`;
    const name = { Deployment: `web-${group}`, ReplicaSet: `web-${group}-rs`, Service: `web-${group}` };
    const ownerName = { Pod: name.ReplicaSet, ReplicaSet: name.Deployment };
    const owner = kind === 'Pod' ? 'ReplicaSet' : 'Deployment';
    const apiVersion = kind === 'Deployment' || kind === 'ReplicaSet' ? 'apps/v1' : 'v1';
    const object = {
      apiVersion,
      kind,
      namespace: `space-${group % 10}`,
      name: kind === 'Pod' ? `web-${group}-rs-${index % groupSize}` : name[kind],
    };
    return manifest(object, objectBytes, random, {
      resourceVersion: String(step),
      annotations: { 'moniker.spinnaker.io/application': application },
      ...(kind === 'Pod' || kind === 'ReplicaSet'
        ? { ownerReferences: [{ apiVersion: 'apps/v1', kind: owner, name: ownerName[kind], controller: true }] }
        : {}),
    });
  }
}
