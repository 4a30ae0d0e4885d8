/**
 * Clouddriver's account management, as far as the gateway sees it: `/credentials` of a Clouddriver 2025 as a real one was seen to
 * answer (/work/shared/kubernetes-api.md), and as its sources have it: CredentialsController and AccountDefinitionService
 * (create: 400 if an account of the name is loaded; save: upsert), SqlAccountDefinitionRepository (create: 500 that
 * quotes the account if there is a row; pages from `startingAccountName`, itself included, of `limit` rows, 100 by default; delete: 404
 * without a row), KubernetesAccountProperties.ManagedAccount (defaults). An account is loaded by the credentials poller, so a
 * little after it is stored. Names with "/" are refused by Tomcat before they reach the controller.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface StoredDefinition {
  readonly name: string;
  readonly type: string;
  readonly [option: string]: unknown;
}

/** A write, and what became of it. */
export interface CredentialsWrite {
  readonly method: string;
  readonly name: string;
  readonly status: number;
  readonly userAgent: string;
  readonly user: string;
  readonly body: Readonly<Record<string, unknown>> | undefined;
  readonly at: number;
}

const defaults = {
  cacheThreads: 1,
  namespaces: [],
  omitNamespaces: [],
  permissions: {},
  kinds: [],
  omitKinds: [],
  metrics: true,
  debug: false,
  checkPermissionsOnStartup: true,
  onlySpinnakerManaged: false,
  environment: null,
  rawResourcesEndpointConfig: { kindExpressions: [], omitKindExpressions: [] },
};

export class CredentialsDouble {
  readonly writes: CredentialsWrite[] = [];
  /** Of its configuration: loaded, and not in the store. */
  readonly configured = new Set<string>();
  /** What an account is refused with, by name. */
  readonly refusals = new Map<string, { readonly status: number; readonly message: string }>();
  storage = true;
  #stored = new Map<string, StoredDefinition>();
  readonly #loaded = new Set<string>();
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  readonly #held: (() => void)[] = [];
  #holding = false;
  #reads = 0;

  async start(): Promise<this> {
    const server = createServer((request, response) => {
      void this.#answer(request, response);
    });
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
    return this;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  /** As a Clouddriver without a lasting database does it. */
  async restartEmpty(): Promise<void> {
    await this.stop();
    this.#stored = new Map();
    this.#loaded.clear();
    await this.start();
  }

  get url(): string {
    return `http://127.0.0.1:${String(this.#port)}`;
  }

  get names(): string[] {
    return [...this.#stored.keys()].toSorted();
  }

  /** Lists that were asked for. */
  get reads(): number {
    return this.#reads;
  }

  get(name: string): StoredDefinition | undefined {
    return this.#stored.get(name);
  }

  /** By somebody else. */
  put(definition: StoredDefinition): void {
    this.#stored.set(definition.name, { ...defaults, ...definition });
    this.#loaded.add(definition.name);
  }

  /** Reads of one account, which come right before a write, wait for release(). */
  holdReads(): void {
    this.#holding = true;
  }

  get heldReads(): number {
    return this.#held.length;
  }

  /** New ones are answered; those that are held stay so. */
  holdNoMore(): void {
    this.#holding = false;
  }

  release(): void {
    this.#holding = false;
    for (const answer of this.#held.splice(0)) answer();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = 'GET', headers } = request;
    const url = new URL(request.url ?? '/', 'http://clouddriver');
    const text = Buffer.concat(chunks).toString('utf8');
    const body = text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>);
    const send = (status: number, answer?: unknown): void => {
      if (method !== 'GET') {
        const written = body?.['name'];
        const name = typeof written === 'string' ? written : decodeURIComponent(url.pathname.split('/')[2] ?? '');
        const user = String(headers['x-spinnaker-user'] ?? 'anonymous');
        const userAgent = headers['user-agent'] ?? '';
        this.writes.push({ method, name, status, user, userAgent, body, at: Date.now() });
      }
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(answer === undefined ? '' : JSON.stringify(answer));
    };
    const fail = (status: number, message: string): void =>
      send(status, { timestamp: Date.now(), status, error: 'Error', message });
    if (/%2f/iu.test(url.pathname)) {
      response.writeHead(400, { 'content-type': 'text/html' });
      if (method !== 'GET')
        this.writes.push({
          ...{ method, name: decodeURIComponent(url.pathname.slice('/credentials/'.length)), status: 400, body },
          ...{ user: '', userAgent: headers['user-agent'] ?? '', at: Date.now() },
        });
      response.end('<!doctype html><html><body><h1>HTTP Status 400 – Bad Request</h1></body></html>');
      return;
    }
    if (!this.storage && (method !== 'GET' || url.pathname.startsWith('/credentials/type/'))) {
      fail(500, 'Cannot use AccountDefinitionService endpoints without enabling AccountDefinitionService bean');
      return;
    }
    if (method === 'GET') {
      if (this.#holding && url.searchParams.get('limit') === '1')
        await new Promise<void>((resolve) => this.#held.push(resolve));
      this.#read(url, send, fail);
      return;
    }
    if (method === 'DELETE') {
      const name = decodeURIComponent(url.pathname.slice('/credentials/'.length));
      if (!this.#stored.delete(name)) fail(404, `No account found with name ${name}`);
      else {
        this.#loaded.delete(name);
        send(200);
      }
      return;
    }
    this.#write(method, body ?? {}, send, fail);
  }

  #read(
    url: URL,
    send: (status: number, answer?: unknown) => void,
    fail: (status: number, text: string) => void,
  ): void {
    if (url.pathname === '/credentials/type/kubernetes') {
      this.#reads += 1;
      const limit = Number(url.searchParams.get('limit') ?? 100);
      const start = url.searchParams.get('startingAccountName') ?? '';
      const names = this.names.filter((name) => name >= start).slice(0, limit);
      for (const name of this.#stored.keys()) this.#loaded.add(name);
      send(
        200,
        names.map((name) => this.#stored.get(name)),
      );
    } else if (url.pathname === '/credentials') {
      const names = [...new Set([...this.#loaded, ...this.configured])];
      send(
        200,
        names.map((name) => ({ name, type: 'kubernetes', cloudProvider: 'kubernetes' })),
      );
    } else fail(404, 'Not Found');
  }

  #write(
    method: string,
    body: Readonly<Record<string, unknown>>,
    send: (status: number, answer?: unknown) => void,
    fail: (status: number, text: string) => void,
  ): void {
    const { name, type } = body;
    if ('@type' in body || typeof name !== 'string' || type !== 'kubernetes') return fail(400, 'Bad Request');
    const refusal = this.refusals.get(name);
    if (refusal !== undefined) return fail(refusal.status, refusal.message);
    const lists = [body['namespaces'], body['omitNamespaces']].map((list) => (Array.isArray(list) ? list.length : 0));
    if (lists.every((length) => length > 0))
      return fail(400, "At most one of 'namespaces' and 'omitNamespaces' can be specified");
    if (method === 'POST') {
      if (this.#loaded.has(name) || this.configured.has(name))
        return fail(400, `Cannot create an account which already exists (name: ${name})`);
      if (this.#stored.has(name)) return fail(500, `Cannot create account with definition ${JSON.stringify(body)}`);
    }
    this.#stored.set(name, { ...defaults, ...body, name, type });
    send(200, body);
  }
}
