/** Calls the Kubernetes API of an account through a replica, as clients do. */

import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { request } from 'undici';

export interface ApiReply {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: { readonly id?: string; readonly message?: string; readonly [field: string]: unknown };
  readonly tookMs: number;
}

const resource = '/api/v1/namespaces/default/configmaps';
const patienceMs = 60_000;

export function apiUrl(restUrl: string, account: string, query: string, path = resource): string {
  return `${restUrl}/kubernetes/accounts/${account}${path}?${query}`;
}

/** @throws Error if the answer is cut off */
export async function callApi(
  restUrl: string,
  account: string,
  { method = 'GET', id, query = '', body }: { method?: 'GET' | 'POST'; id: string; query?: string; body?: string },
): Promise<ApiReply> {
  const started = performance.now();
  const response = await request(apiUrl(restUrl, account, `id=${id}${query}`), {
    method,
    ...(body === undefined ? {} : { body }),
    headersTimeout: patienceMs,
    bodyTimeout: patienceMs,
  });
  const text = await response.body.text();
  const retryAfter = response.headers['retry-after'];
  return {
    status: response.statusCode,
    retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
    body: JSON.parse(text) as ApiReply['body'],
    tookMs: performance.now() - started,
  };
}

/** How a watch ended: at the end of an event, within one, or such that the client sees an error. */
export type WatchEnd = 'between events' | 'within an event' | 'error';

export interface OpenWatch {
  readonly events: number;
  /** Resolves when it ends. */
  readonly ended: Promise<WatchEnd>;
  close(): void;
}

export async function watchApi(restUrl: string, account: string, id: string): Promise<OpenWatch> {
  const closing = new AbortController();
  const { statusCode, body } = await request(apiUrl(restUrl, account, `id=${id}&watch=true`), {
    headersTimeout: patienceMs,
    bodyTimeout: 0,
    signal: closing.signal,
  });
  if (statusCode !== 200) throw new Error(`watch ${id}: ${String(statusCode)} ${await body.text()}`);
  const watch = { events: 0 };
  const read = async (): Promise<WatchEnd> => {
    let last = '\n';
    try {
      for await (const data of body as AsyncIterable<Buffer>) {
        const text = data.toString();
        watch.events += text.split('\n').length - 1;
        last = text.slice(-1);
      }
    } catch {
      return 'error';
    }
    return last === '\n' ? 'between events' : 'within an event';
  };
  const ended = read();
  return {
    get events() {
      return watch.events;
    },
    ended,
    close: () => {
      closing.abort();
    },
  };
}

export interface OpenShell {
  readonly socket: Socket;
  readonly closed: Promise<unknown>;
  /** Sends a line, and waits for it to come back. */
  ask(line: string): Promise<void>;
}

/** Opens a connection of another protocol, which echoes. */
export async function openShell(restUrl: string, account: string, id: string): Promise<OpenShell> {
  const url = apiUrl(restUrl, account, `id=${id}&command=sh`, '/api/v1/namespaces/default/pods/web/exec');
  const asking = httpRequest(url, { method: 'POST', headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1' } });
  asking.end();
  asking.on('response', (response) => {
    asking.destroy(new Error(`shell ${id}: ${String(response.statusCode)}`));
  });
  const [, socket] = (await once(asking, 'upgrade')) as [unknown, Socket];
  socket.on('error', () => undefined);
  const closed = once(socket, 'close');
  let text = '';
  socket.on('data', (data: Buffer) => (text += data.toString()));
  return {
    socket,
    closed,
    ask: async (line) => {
      text = '';
      socket.write(`${line}\n`);
      while (!text.includes(`${line}\n`)) {
        if (socket.destroyed) throw new Error(`shell ${id} was closed`);
        await Promise.race([once(socket, 'data'), closed]);
      }
    },
  };
}

/** A metric of a replica, the sum over its labels; 0 if there is none. */
export async function metricSum(restUrl: string, name: string): Promise<number> {
  const text = await (await fetch(`${restUrl}/metrics`)).text();
  let sum = 0;
  for (const line of text.split('\n')) {
    if (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) sum += Number(line.slice(line.lastIndexOf(' ')));
  }
  return sum;
}
