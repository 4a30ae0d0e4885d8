/** A double of the REST API for the terminal's commands: it keeps what it was asked, and answers as it is told. */

import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Test } from 'tap';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingMessage['headers'];
  /** Of a sent operation. */
  readonly operation: Readonly<Record<string, unknown>>;
}

/** undefined: no answer at all. */
export type Answer = { readonly status?: number; readonly body: unknown; readonly type?: string } | 'reset' | undefined;

/** What a gateway answers that has done all that it was asked for. */
export function obliging({ method, operation }: Asked): Answer {
  return { body: method === 'POST' ? { operation, result: { operationId: operation['id'], status: 200 } } : [] };
}

/** @param tls certificate and key as PEM. @returns its base URL, and what it was asked, oldest first */
export async function startGatewayDouble(
  t: Test,
  answer: (asked: Asked) => Answer = obliging,
  tls?: { readonly cert: Buffer; readonly key: Buffer },
) {
  const requests: Asked[] = [];
  const listener: RequestListener = (request, response) => {
    void text(request).then((body) => {
      const url = new URL(request.url ?? '', 'http://double');
      const { operation = {} } = (body === '' ? {} : JSON.parse(body)) as { operation?: Record<string, unknown> };
      const asked = {
        ...{ method: request.method ?? '', path: url.pathname, headers: request.headers, operation },
        query: Object.fromEntries(url.searchParams),
      };
      requests.push(asked);
      const given = answer(asked);
      if (given === undefined) return;
      if (given === 'reset') {
        request.socket.resetAndDestroy();
        return;
      }
      response.writeHead(given.status ?? 200, { 'content-type': given.type ?? 'application/json' });
      response.end(typeof given.body === 'string' ? given.body : JSON.stringify(given.body));
    });
  };
  const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { requests, port, url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}` };
}
