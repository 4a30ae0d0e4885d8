/** What an informer of @kubernetes/client-node sees of the objects of the example controller. */

import { CoreV1Api, KubeConfig, makeInformer, type V1ConfigMap } from '@kubernetes/client-node';
import type { Test } from 'tap';

export interface ObjectEvent {
  readonly kind: string;
  readonly name: string;
  /** resourceVersion. */
  readonly version: number;
}

const restartDelayMs = 500;

export class Followed {
  readonly events: ObjectEvent[] = [];
  /** Who wrote an object, and as which of its writes, by the object's name. */
  readonly writers = new Map<string, string>();
  readonly errors: string[] = [];

  /** Follows until the test's teardown; after an error it starts again, as its documentation says. */
  static async start(t: Test, kubeconfig: string, namespace: string): Promise<Followed> {
    const followed = new Followed();
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const labelSelector = 'controller=example';
    const list = () => config.makeApiClient(CoreV1Api).listNamespacedConfigMap({ namespace, labelSelector });
    const informer = makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, list, labelSelector);
    for (const kind of ['add', 'update', 'delete'] as const) {
      informer.on(kind, (object) => {
        followed.#see(kind, object);
      });
    }
    let timer: NodeJS.Timeout | undefined;
    const start = (): Promise<void> =>
      informer.start().catch((error: unknown) => {
        failed(error);
      });
    let stopped = false;
    const failed = (error?: unknown): void => {
      if (stopped) return;
      followed.errors.push(String(error));
      clearTimeout(timer);
      timer = setTimeout(() => void start(), restartDelayMs);
    };
    informer.on('error', failed);
    t.teardown(async () => {
      stopped = true;
      clearTimeout(timer);
      await informer.stop();
    });
    await start();
    return followed;
  }

  #see(kind: string, { metadata }: V1ConfigMap): void {
    const name = metadata?.name ?? '';
    this.events.push({ kind, name, version: Number(metadata?.resourceVersion) });
    this.writers.set(name, metadata?.labels?.['write'] ?? '');
  }
}

/** Versions of what there is after these events, by name, in the order of names. */
export function storeOf(events: readonly ObjectEvent[]): Readonly<Record<string, string>> {
  const versions = new Map<string, string>();
  for (const { kind, name, version } of events) {
    if (kind === 'delete') versions.delete(name);
    else versions.set(name, String(version));
  }
  return Object.fromEntries([...versions].sort(byName));
}

/** What became of each object: "write-x: add, delete". Updates are left out, because a list tells only the last of several. */
export function lives(events: readonly ObjectEvent[]): ReadonlyMap<string, string> {
  const all = new Map<string, string>();
  for (const { kind, name } of events) {
    if (kind === 'update') continue;
    const before = all.get(name);
    all.set(name, before === undefined ? kind : `${before}, ${kind}`);
  }
  return new Map([...all].sort(byName));
}

/** Events that tell an older version of an object than one before them. The same version comes again with a new list. */
export function disorders(events: readonly ObjectEvent[]): ObjectEvent[] {
  const versions = new Map<string, number>();
  return events.filter(({ name, version }) => {
    const before = versions.get(name) ?? 0;
    versions.set(name, version);
    return version < before;
  });
}

function byName([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number {
  return one < other ? -1 : 1;
}
