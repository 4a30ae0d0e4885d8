/**
 * A Clouddriver as Spring Cloud Config client: reads its accounts when it starts and when it is asked to (`POST /refresh`),
 * keeps those that it has if it cannot, and binds lists as Spring Boot does (no gap between indexes).
 */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, request } from 'undici';

export interface BoundAccount {
  readonly name: string;
  readonly kubeconfigContents?: string;
  readonly namespaces?: readonly string[];
  readonly permissions?: Readonly<Record<string, readonly string[]>>;
  readonly checkPermissionsOnStartup?: boolean;
  readonly kubectlRequestTimeoutSeconds?: number;
}

export interface ConfigClientOptions {
  /** `spring.cloud.config.uri` */
  readonly uri: string;
  /** `spring.application.name`; default: clouddriver. */
  readonly application?: string;
  /** `spring.cloud.config.label` */
  readonly label?: string;
  /** `spring.cloud.config.username` and `.password`, `.token` or `.headers`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** PEM of the CA that it trusts (`spring.cloud.config.tls.trust-store`); default: those of Node.js. */
  readonly ca?: string;
  /** Its own port; default: any. */
  readonly port?: number;
  /** Where its actuator is; default: /refresh, as in Spinnaker. */
  readonly refreshPath?: string;
}

export interface ConfigClientDouble {
  readonly url: string;
  /** As bound last. */
  readonly accounts: readonly BoundAccount[];
  /** Times of the requests to refresh, in ms. */
  readonly refreshes: readonly number[];
  /** Requests that arrived at its port, as `METHOD PATH`. */
  readonly asked: readonly string[];
  /** What every answer says from now on, in place of refreshing; undefined: it refreshes. */
  failing: number | undefined;
  /** Reads the configuration. @returns the status */
  read(): Promise<number>;
  stop(): Promise<void>;
  /** On the port that it had; reads the configuration. */
  start(): Promise<void>;
}

/** `spring.cloud.config.username` and `.password` */
export const basic = (user: string, password: string): Readonly<Record<string, string>> => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
});

export async function startConfigClient(
  t: { teardown(release: () => Promise<void>): unknown },
  options: ConfigClientOptions,
): Promise<ConfigClientDouble> {
  const { uri, application = 'clouddriver', label, headers = {}, refreshPath = '/refresh', ca } = options;
  const path = [application, 'composite,local', ...(label === undefined ? [] : [label.replaceAll('/', '(_)')])].join(
    '/',
  );
  const dispatcher = new Agent({ connect: ca === undefined ? {} : { ca } });
  t.teardown(() => dispatcher.destroy());
  let server: Server | undefined;
  let port = options.port ?? 0;
  let accounts: readonly BoundAccount[] = [];
  const refreshes: number[] = [];
  const asked: string[] = [];

  async function read(): Promise<number> {
    const answer = await request(`${uri}/${path}`, {
      dispatcher,
      headers: { accept: 'application/vnd.spring-cloud.config-server.v2+json', ...headers },
      signal: AbortSignal.timeout(60_000),
    });
    const text = await answer.body.text();
    if (answer.statusCode === 200) accounts = bind(JSON.parse(text) as Environment);
    return answer.statusCode;
  }

  const double: ConfigClientDouble = {
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    get accounts() {
      return accounts;
    },
    refreshes,
    asked,
    failing: undefined,
    read,
    stop: async () => {
      const stopping = server;
      server = undefined;
      stopping?.closeAllConnections();
      await new Promise<void>((resolve) => (stopping === undefined ? resolve() : stopping.close(() => resolve())));
    },
    start: async () => {
      const starting = createServer(({ method, url }, response) => {
        asked.push(`${method ?? ''} ${url ?? ''}`);
        const send = (status: number): void => void response.writeHead(status).end('[]');
        if (method !== 'POST' || url !== refreshPath) send(404);
        else if (double.failing !== undefined) send(double.failing);
        else {
          refreshes.push(performance.now());
          read().then(
            () => send(200),
            () => send(500),
          );
        }
      });
      await new Promise<void>((resolve) => starting.listen(port, '127.0.0.1', resolve));
      server = starting;
      port = (starting.address() as AddressInfo).port;
      await read().catch(() => undefined);
    },
  };
  t.teardown(() => double.stop());
  await double.start();
  return double;
}

interface Environment {
  readonly propertySources: readonly { readonly source: Readonly<Record<string, unknown>> }[];
}

type Node = Map<string, unknown>;

/** `kubernetes.accounts` of the first source that has it. @throws Error for gaps, as Spring Boot's binder */
export function bind({ propertySources }: Environment): readonly BoundAccount[] {
  const root: Node = new Map();
  for (const [name, value] of Object.entries(propertySources[0]?.source ?? {})) {
    const parts = name.split(/[.[\]]+/u).filter((part) => part !== '');
    let node = root;
    for (const part of parts.slice(0, -1)) {
      const next = node.get(part) ?? new Map<string, unknown>();
      node.set(part, next);
      node = next as Node;
    }
    node.set(parts.at(-1) ?? '', value);
  }
  const kubernetes = toValue(root.get('kubernetes') ?? new Map()) as { accounts?: readonly BoundAccount[] };
  return kubernetes.accounts ?? [];
}

function toValue(node: unknown): unknown {
  if (!(node instanceof Map)) return node;
  const entries = [...(node as Node).entries()];
  if (entries.every(([key]) => /^\d+$/u.test(key)) && entries.length > 0) {
    return entries.map((_, index) => {
      if (!node.has(String(index))) throw new Error(`elements were left unbound: no index ${index}`);
      return toValue(node.get(String(index)));
    });
  }
  return Object.fromEntries(entries.map(([key, value]) => [key, toValue(value)]));
}
