/** The REST side of a gateway for tests: answers operations as the test says. */

import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

export interface RestAnswer {
  readonly status: number;
  readonly body: object;
}

export interface RestRequest {
  readonly operation: Record<string, unknown>;
  readonly headers: IncomingHttpHeaders;
}

export interface RestDouble {
  readonly url: string;
  readonly requests: readonly RestRequest[];
  /** Most operations that were open at one time. */
  readonly mostOpen: () => number;
  readonly close: () => Promise<void>;
}

/** @param answer of the n-th operation (0 is the first); a promise holds the answer back */
export async function startRestDouble(
  answer: (index: number, request: RestRequest) => RestAnswer | Promise<RestAnswer>,
): Promise<RestDouble> {
  const requests: RestRequest[] = [];
  let open = 0;
  let most = 0;
  const server: Server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => (text += part));
    request.on('end', () => {
      if (request.url !== '/armory/agent/operations') {
        response.end('{}');
        return;
      }
      const { operation } = JSON.parse(text) as { operation: Record<string, unknown> };
      const received = { operation, headers: request.headers };
      requests.push(received);
      open += 1;
      most = Math.max(most, open);
      void Promise.resolve(answer(requests.length - 1, received)).then(({ status, body }) => {
        open -= 1;
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    mostOpen: () => most,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
