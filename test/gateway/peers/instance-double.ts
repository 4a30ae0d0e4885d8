/** Another instance as its callers see it: what it was sent, and what it says to it. On loopback, without TLS. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { Test } from 'tap';
import { readDelimited } from '../../../src/protocol/delimited.js';

export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  /** The messages of the body, as text, where it is a sequence of them. */
  readonly messages: readonly string[];
}

export interface InstanceDouble {
  readonly baseUrl: string;
  readonly requests: ReceivedRequest[];
  /** Connections that were opened, and those that are open. */
  readonly connections: { opened: number; open: number };
}

type Answer = (request: ReceivedRequest, response: ServerResponse) => void;

/** Says with this status and body, as JSON. */
export const say =
  (status: number, body: unknown): Answer =>
  (_request, response) =>
    void response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));

/** The owner takes all that it is sent. */
export const takeAll: Answer = (request, response) =>
  say(
    200,
    request.messages.map(() => ({})),
  )(request, response);

/** Callers end idle connections after 30 s by themselves (peerIdleMs): one that is closed at once is gone well before. */
export const atOnce = { timeoutMs: 15_000 };

export async function startInstanceDouble(t: Test, answer: Answer): Promise<InstanceDouble> {
  const requests: ReceivedRequest[] = [];
  const connections = { opened: 0, open: 0 };
  const receive = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url = '', headers } = request;
    const body = await buffer(request);
    const delimited = headers['content-type'] === 'application/x-protobuf';
    const messages = delimited ? readDelimited(body, 'message').map((bytes) => Buffer.from(bytes).toString()) : [];
    const received = { method, path: url, headers, body, messages };
    requests.push(received);
    answer(received, response);
  };
  const server = createServer((request, response) => void receive(request, response).catch(() => response.destroy()));
  // As of a replica, which says so in its answers. Its callers alone end connections.
  server.keepAliveTimeout = 75_000;
  server.on('connection', (socket) => {
    connections.opened += 1;
    connections.open += 1;
    socket.on('close', () => (connections.open -= 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, connections };
}
