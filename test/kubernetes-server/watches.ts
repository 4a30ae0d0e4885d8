/** The open watches of the tests' API server, and the ways in which a test can break them. */

import type { ServerResponse } from 'node:http';
import type { Change, ObjectStore } from './object-store.js';
import { resetSocket } from './reset.js';
import { status } from './status.js';

export interface WatchRequest {
  readonly resource: string;
  readonly kind: string;
  readonly apiVersion: string;
  readonly namespace: string;
  /** '' and '0': begin with the objects there are. */
  readonly resourceVersion: string;
  readonly bookmarks: boolean;
  readonly timeoutSeconds: number;
}

class OpenWatch {
  frozen = false;
  readonly #response: ServerResponse;
  readonly #request: WatchRequest;

  constructor(response: ServerResponse, request: WatchRequest) {
    this.#response = response;
    this.#request = request;
  }

  send(type: string, object: object): void {
    this.write(`${JSON.stringify({ type, object })}\n`);
  }

  change({ resource, type, object }: Change): void {
    const { resource: wanted, namespace } = this.#request;
    if (resource === wanted && object.metadata.namespace === namespace) this.send(type, object);
  }

  bookmark(version: number): void {
    const { kind, apiVersion, bookmarks } = this.#request;
    const metadata = { resourceVersion: String(version), creationTimestamp: null };
    if (bookmarks) this.send('BOOKMARK', { kind, apiVersion, metadata });
  }

  write(text: string): void {
    if (!this.frozen && !this.#response.writableEnded) this.#response.write(text);
  }

  end(): void {
    if (!this.frozen) this.#response.end();
  }

  reset(): void {
    resetSocket(this.#response.socket);
  }

  cut(how: 'reset' | 'end'): void {
    this.write('{"type":"MODIFIED","object":{"kind":"Endpo');
    this.frozen = true;
    // Once the text is on its way.
    setImmediate(() => {
      if (how === 'end') this.#response.end();
      else this.reset();
    });
  }
}

/** Each method that breaks does so to all watches that are open now. */
export class Watches {
  readonly #store: ObjectStore;
  readonly #open = new Set<OpenWatch>();

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  get count(): number {
    return this.#open.size;
  }

  begin(response: ServerResponse, request: WatchRequest): void {
    const watch = new OpenWatch(response, request);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const { resource, namespace, resourceVersion } = request;
    const fromNow = resourceVersion === '' || resourceVersion === '0';
    const missed = this.#store.since(fromNow ? this.#store.version : Number(resourceVersion));
    if (missed === undefined) {
      const message = `too old resource version: ${resourceVersion} (${String(this.#store.version)})`;
      watch.send('ERROR', status(410, message));
      watch.end();
      return;
    }
    if (fromNow) for (const object of this.#store.list(resource, namespace)) watch.send('ADDED', object);
    for (const change of missed) watch.change(change);

    this.#open.add(watch);
    const unsubscribe = this.#store.onChange((change) => {
      watch.change(change);
    });
    const timer = setTimeout(() => {
      watch.bookmark(this.#store.version);
      watch.end();
    }, request.timeoutSeconds * 1_000);
    response.once('close', () => {
      clearTimeout(timer);
      unsubscribe();
      this.#open.delete(watch);
    });
  }

  bookmark(): void {
    for (const watch of this.#open) watch.bookmark(this.#store.version);
  }

  /** As the API server does at its own shutdown. */
  end(): void {
    for (const watch of this.#open) watch.end();
  }

  reset(): void {
    for (const watch of this.#open) watch.reset();
  }

  /** The beginning of an event, and then a socket that is reset, or a response that ends in order. */
  cut(how: 'reset' | 'end'): void {
    for (const watch of this.#open) watch.cut(how);
  }

  /** A line that is not JSON. */
  garble(): void {
    for (const watch of this.#open) watch.write('<html>\n');
  }

  /** An ERROR event, as for a version that is gone (410) or a failure inside (500). */
  error(code: number): void {
    for (const watch of this.#open) {
      watch.send('ERROR', status(code, `injected ${String(code)}`));
      watch.end();
    }
  }

  /** Half-open: connections stay, nothing is sent on them any more, not even their end. */
  freeze(): void {
    for (const watch of this.#open) watch.frozen = true;
  }
}
