/**
 * An API server for tests that speaks Kubernetes' real list and watch protocol over HTTP.
 *
 * It covers, for Endpoints and EndpointSlices in a namespace: list with `limit` and `continue`; watch with
 * `resourceVersion`, `timeoutSeconds`, `allowWatchBookmarks`, 410 for compacted versions; SelfSubjectAccessReview; bearer
 * tokens; permissions by verb and resource; Status objects; failures on demand; a restart on the same port that keeps
 * what was stored. It does not cover: selectors, other resources, writes over HTTP, `resourceVersionMatch`, protobuf,
 * compression, HTTP/2, and bookmarks once a minute (they come at the end of a watch, and when a test says so).
 */

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port.js';
import { ObjectStore, type StoredObject } from './object-store.js';
import { resetSocket } from './reset.js';
import { status } from './status.js';
import { Watches } from './watches.js';

export type Resource = 'endpoints' | 'endpointslices';
export type Verb = 'list' | 'watch' | 'review';
/** Status code for the answer, or what happens to the connection instead. */
export type Failure = number | 'reset' | 'no-answer' | 'html';

export interface ApiRequest {
  readonly verb: Verb;
  readonly resource: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
}

interface Collection {
  readonly resource: Resource;
  readonly kind: string;
  readonly apiVersion: string;
  readonly namespace: string;
}

export interface ApiServerOptions {
  /** Serve https with these (PEM). */
  readonly tls?: { readonly key: string; readonly cert: string };
}

export class KubernetesApiServer {
  readonly store = new ObjectStore();
  readonly watches = new Watches(this.store);
  /** All requests so far, also those that failed. */
  readonly requests: ApiRequest[] = [];
  /** What the only user may do, as `verb resource`; RBAC says the same to reviews and to requests. */
  readonly permissions = new Set<string>([
    ...['list endpoints', 'watch endpoints', 'list endpointslices', 'watch endpointslices'],
  ]);
  /** Resources that this API server has never heard of, as before Kubernetes 1.21. */
  readonly absent = new Set<Resource>();
  readonly directory: string;
  readonly port: number;
  readonly url: string;
  readonly #tls: { readonly key: string; readonly cert: string } | undefined;
  readonly #failures: { readonly verb: Verb; readonly failure: Failure }[] = [];
  readonly #pages = new Map<string, { readonly items: readonly StoredObject[]; readonly version: number }>();
  #token = serviceAccountToken();
  #server: Server | undefined;

  private constructor(directory: string, port: number, options: ApiServerOptions) {
    this.directory = directory;
    this.port = port;
    this.#tls = options.tls;
    this.url = `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${String(port)}`;
  }

  /** Starts one, with its files in a directory of its own; both go at the test's end. */
  static async start(
    t: { teardown(release: () => Promise<void>): unknown },
    options: ApiServerOptions = {},
  ): Promise<KubernetesApiServer> {
    const directory = await mkdtemp(join(tmpdir(), 'agent-gateway-kubernetes-'));
    const server = new KubernetesApiServer(directory, await freePort(), options);
    t.teardown(async () => {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    });
    await server.start();
    await server.writeCredentials();
    return server;
  }

  async start(): Promise<void> {
    const listener = (request: IncomingMessage, response: ServerResponse): void => void this.#serve(request, response);
    this.#server = this.#tls === undefined ? createServer(listener) : createTlsServer(this.#tls, listener);
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** Ends at once, resetting every connection; what is stored stays, for start(). */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined || !server.listening) return;
    const closed = once(server, 'close');
    server.close();
    this.watches.reset();
    server.closeAllConnections();
    await closed;
  }

  /** Connections that are open right now. */
  async connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server?.getConnections((error, count) => {
        if (error === null) resolve(count);
        else reject(error);
      });
    });
  }

  /** The next `times` requests of that verb fail; in the order of the calls. */
  fail(verb: Verb, failure: Failure, times = 1): void {
    for (let i = 0; i < times; i += 1) this.#failures.push({ verb, failure });
  }

  /** The token used so far is refused from now on; the new one is not written to the files yet. */
  expireToken(): void {
    this.#token = serviceAccountToken();
  }

  /** Writes a kubeconfig, and the files of a service account, with the token that is good now. */
  async writeCredentials(): Promise<void> {
    const kubeconfig = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      clusters: [{ name: 'test', cluster: { server: this.url, 'insecure-skip-tls-verify': this.#tls === undefined } }],
      users: [{ name: 'test', user: { token: this.#token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace: 'spinnaker' } }],
    };
    // JSON is YAML.
    await writeFile(this.kubeconfigFile, JSON.stringify(kubeconfig));
    await writeFile(join(this.directory, 'token'), this.#token);
    await writeFile(join(this.directory, 'namespace'), 'spinnaker\n');
    await writeFile(join(this.directory, 'ca.crt'), this.#tls?.cert ?? '');
  }

  get kubeconfigFile(): string {
    return join(this.directory, 'kubeconfig');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url);
    const collection = collectionOf(url.pathname);
    const review = url.pathname === '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
    const verb: Verb = review ? 'review' : url.searchParams.get('watch') === 'true' ? 'watch' : 'list';
    const { authorization } = request.headers;
    this.requests.push({ verb, resource: collection?.resource ?? '', query: url.searchParams, authorization });

    const planned = this.#failures.findIndex((failure) => failure.verb === verb);
    if (planned >= 0) {
      fail(response, this.#failures.splice(planned, 1)[0]?.failure ?? 500);
    } else if (authorization !== `Bearer ${this.#token}`) {
      answer(response, 401, status(401, 'Unauthorized'));
    } else if (review) {
      await this.#review(request, response);
    } else if (collection === undefined || this.absent.has(collection.resource)) {
      answer(response, 404, status(404, 'the server could not find the requested resource'));
    } else if (!this.permissions.has(`${verb} ${collection.resource}`)) {
      const what = `${collection.resource} is forbidden: User "system:serviceaccount:spinnaker:gateway" cannot ${verb}`;
      answer(response, 403, status(403, what));
    } else if (verb === 'list') {
      this.#list(collection, url.searchParams, response);
    } else {
      this.watches.begin(response, {
        ...collection,
        resourceVersion: url.searchParams.get('resourceVersion') ?? '',
        bookmarks: url.searchParams.get('allowWatchBookmarks') === 'true',
        timeoutSeconds: Number(url.searchParams.get('timeoutSeconds') ?? '1800'),
      });
    }
  }

  async #review(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as {
      spec: { resourceAttributes: { verb: string; resource: string } };
    };
    const { verb, resource } = body.spec.resourceAttributes;
    const allowed = this.permissions.has(`${verb} ${resource}`);
    answer(response, 201, { ...body, metadata: { creationTimestamp: null }, status: { allowed } });
  }

  /** All pages are of one moment, as in Kubernetes; a `continue` is good once. */
  #list(collection: Collection, query: URLSearchParams, response: ServerResponse): void {
    const { kind, apiVersion, resource, namespace } = collection;
    const token = query.get('continue');
    const page =
      token === null
        ? { items: this.store.list(resource, namespace), version: this.store.version }
        : this.#pages.get(token);
    if (page === undefined) {
      answer(response, 410, status(410, 'The provided continue parameter is too old'));
      return;
    }
    const limit = Number(query.get('limit') ?? '0') || page.items.length;
    const rest = page.items.slice(limit);
    const next = rest.length > 0 ? randomUUID() : undefined;
    if (next !== undefined) this.#pages.set(next, { items: rest, version: page.version });
    // The items of a typed list do not say their kind.
    const items = page.items.slice(0, limit).map((item) => ({ ...item, kind: undefined, apiVersion: undefined }));
    const metadata = { resourceVersion: String(page.version), ...(next === undefined ? {} : { continue: next }) };
    answer(response, 200, { kind: `${kind}List`, apiVersion, metadata, items });
  }
}

function collectionOf(path: string): Collection | undefined {
  const core = /^\/api\/v1\/namespaces\/([^/]+)\/endpoints$/.exec(path)?.[1];
  if (core !== undefined) return { resource: 'endpoints', kind: 'Endpoints', apiVersion: 'v1', namespace: core };
  const slices = /^\/apis\/discovery\.k8s\.io\/v1\/namespaces\/([^/]+)\/endpointslices$/.exec(path)?.[1];
  const apiVersion = 'discovery.k8s.io/v1';
  return slices === undefined
    ? undefined
    : { resource: 'endpointslices', kind: 'EndpointSlice', apiVersion, namespace: slices };
}

function fail(response: ServerResponse, failure: Failure): void {
  if (typeof failure === 'number') answer(response, failure, status(failure, `injected ${String(failure)}`));
  else if (failure === 'reset') resetSocket(response.socket);
  else if (failure === 'html') response.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad Gateway</html>');
}

function answer(response: ServerResponse, code: number, body: object): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** A JWT in shape, as the pods' tokens are; nothing verifies its signature. */
function serviceAccountToken(): string {
  const claims = JSON.stringify({ sub: 'system:serviceaccount:spinnaker:gateway', jti: randomUUID() });
  return `eyJhbGciOiJub25lIn0.${Buffer.from(claims).toString('base64url')}.signature`;
}
