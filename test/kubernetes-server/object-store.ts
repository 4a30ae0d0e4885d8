/** What the tests' API server stores: objects with versions, and the log of changes that watches read. */

export interface StoredObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
  };
}

export interface Change {
  readonly version: number;
  readonly resource: string;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: StoredObject;
}

/** As in etcd there is one version for everything, and each change has the next one. */
export class ObjectStore {
  readonly #objects = new Map<string, StoredObject>();
  readonly #listeners = new Set<(change: Change) => void>();
  #log: Change[] = [];
  #version = 1000;
  #compacted = 0;

  get version(): number {
    return this.#version;
  }

  /** Creates or updates. */
  put(resource: string, object: StoredObject): void {
    const key = keyOf(resource, object.metadata.namespace, object.metadata.name);
    this.#change(resource, this.#objects.has(key) ? 'MODIFIED' : 'ADDED', object);
  }

  delete(resource: string, namespace: string, name: string): void {
    const object = this.#objects.get(keyOf(resource, namespace, name));
    if (object === undefined) throw new Error(`there is no ${resource} ${namespace}/${name}`);
    this.#change(resource, 'DELETED', object);
  }

  list(resource: string, namespace: string): StoredObject[] {
    const prefix = keyOf(resource, namespace, '');
    return [...this.#objects].filter(([key]) => key.startsWith(prefix)).map(([, object]) => object);
  }

  /** Forgets all changes so far: nobody can watch from an earlier version any more. */
  compact(): void {
    this.#compacted = this.#version;
    this.#log = [];
  }

  /** The changes after a version; undefined when that was compacted. */
  since(version: number): readonly Change[] | undefined {
    return version < this.#compacted ? undefined : this.#log.filter((change) => change.version > version);
  }

  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #change(resource: string, type: Change['type'], object: StoredObject): void {
    this.#version += 1;
    const { name, namespace } = object.metadata;
    const metadata = { ...object.metadata, resourceVersion: String(this.#version) };
    const change: Change = { version: this.#version, resource, type, object: { ...object, metadata } };
    const key = keyOf(resource, namespace, name);
    if (type === 'DELETED') this.#objects.delete(key);
    else this.#objects.set(key, change.object);
    this.#log.push(change);
    for (const listener of this.#listeners) listener(change);
  }
}

function keyOf(resource: string, namespace: string, name: string): string {
  return `${resource}/${namespace}/${name}`;
}
