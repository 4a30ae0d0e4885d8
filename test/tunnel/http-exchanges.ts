/** Starts exchanges over HTTP/1.1 and collects their answers; servers of Node.js, and sockets that write what they like. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';
import { Agent, type Dispatcher } from 'undici';
import { GatewayError } from '../../src/core/errors.js';
import type { Exchange, HeaderList, HttpRequestHead } from '../../src/tunnel/exchange.js';
import { startHttpExchange, type HttpExchangeOptions } from '../../src/tunnel/http-exchange.js';

export const mebibyte = 1_048_576;

export async function fails(
  t: Test,
  answer: Promise<unknown>,
  what: 'sent' | 'unsent',
  message: string,
): Promise<void> {
  const failure = await answer.then(
    () => undefined,
    (error: unknown) => error,
  );
  t.match(failure, { name: 'GatewayError', details: { unsent: what === 'unsent' } }, message);
}

export interface Received {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: Buffer;
  readonly trailers: HeaderList;
}

export interface StartOptions extends Partial<Pick<HttpExchangeOptions, 'first' | 'pathPrefix'>> {
  readonly dispatcher?: Dispatcher;
  /** Must report what it has consumed; default: everything at once. */
  readonly onData?: (data: Uint8Array) => void;
  readonly onDrain?: () => void;
}

/** Starts an exchange and collects its answer. */
export function exchange(t: Test, origin: string, head: Partial<HttpRequestHead> = {}, options: StartOptions = {}) {
  const events: string[] = [];
  const parts: Uint8Array[] = [];
  const { dispatcher = agent(t), onData, onDrain, ...rest } = options;
  const responded = deferred<{ status: number; headers: HeaderList }>();
  const ended = deferred<HeaderList>();
  const failure = (error: unknown, sent: boolean): GatewayError =>
    new GatewayError('dependency-unavailable', String(error), { unsent: !sent });
  const whole = { method: 'GET', target: '/', headers: [], upgrade: '', ...head };
  const opened: Exchange = startHttpExchange(
    dispatcher,
    { origin, head: whole, failure, ...rest },
    {
      onResponse: responded.resolve,
      onData: (data) => {
        if (onData !== undefined) {
          onData(data);
          return;
        }
        parts.push(data);
        events.push(Buffer.from(data).toString('latin1'));
        opened.consumed(data.length);
      },
      onEnd: (trailers) => {
        events.push('end');
        ended.resolve(trailers);
      },
      onDrain: () => {
        events.push('drain');
        onDrain?.();
      },
      onFailed: (error) => {
        events.push(`failed: ${error.message}`);
        responded.reject(error);
        ended.reject(error);
      },
    },
  );
  const collect = async (): Promise<Received> => {
    const trailers = await ended.promise;
    return { ...(await responded.promise), body: Buffer.concat(parts), trailers };
  };
  const answer = collect();
  answer.catch(() => undefined);
  responded.promise.catch(() => undefined);
  return { exchange: opened, answer, head: responded.promise, events };
}

export function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => ([resolve, reject] = [yes, no]));
  return { promise, resolve, reject };
}

export function agent(t: Test): Agent {
  const dispatcher = new Agent({ connect: { timeout: 5_000 } });
  t.teardown(() => dispatcher.destroy());
  return dispatcher;
}

export async function startServer(t: Test, answer: RequestListener) {
  let connections = 0;
  const requests: [IncomingMessage, ServerResponse][] = [];
  const server = createServer((request, response) => {
    requests.push([request, response]);
    answer(request, response);
  });
  server.on('connection', () => (connections += 1));
  const origin = await listening(t, server);
  t.teardown(() => {
    server.closeAllConnections();
  });
  return { origin, server, requests, connections: () => connections };
}

/** @param answer given all that has come on the connection, each time that more has come */
export async function startRaw(t: Test, answer: (socket: Socket, request: string) => void) {
  const [sockets, received] = [new Set<Socket>(), { text: '' }];
  const server = createTcpServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    let text = '';
    socket.on('data', (data) => {
      text += data.toString('latin1');
      received.text = text;
      answer(socket, text);
    });
  });
  const origin = await listening(t, server);
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  return { origin, received: () => received.text, connections: () => sockets.size };
}

export async function listening(t: Test, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

export async function text(request: IncomingMessage): Promise<string> {
  let all = '';
  for await (const part of request) all += String(part);
  return all;
}

export function memory(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
