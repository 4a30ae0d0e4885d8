/**
 * A client's connection with HTTP/1.1, one request at a time, as lean as it can be: the load generator shares two cores with
 * what it measures.
 */

import { connect, type Socket } from 'node:net';
import { once } from 'node:events';

interface Waiting {
  readonly resolve: (answer: Buffer) => void;
  readonly reject: (error: Error) => void;
}

const headEnd = '\r\n\r\n';
const lastChunk = Buffer.from('0\r\n\r\n');
const nothing = Buffer.alloc(0);

export class HttpConnection {
  readonly #socket: Socket;
  #received: Buffer = nothing;
  #waiting: Waiting | undefined;
  /** Whether the head of an answer is all that is waited for. */
  #headOnly = false;

  static async open(baseUrl: string): Promise<HttpConnection> {
    const { hostname, port } = new URL(baseUrl);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    return new HttpConnection(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#take(chunk);
    });
    socket.on('error', (error) => this.#waiting?.reject(error));
    socket.on('close', () => this.#waiting?.reject(new Error('the connection was closed before the answer')));
  }

  get open(): boolean {
    return !this.#socket.destroyed && this.#socket.readable;
  }

  /** @returns the answer with its head. @throws Error when the connection ends before it */
  ask(request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  /** As ask(), for an answer that has no end. @returns its head */
  begin(request: Buffer): Promise<Buffer> {
    this.#headOnly = true;
    return this.ask(request);
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const answer = this.#received;
    const bodyAt = answer.indexOf(headEnd) + headEnd.length;
    if (bodyAt < headEnd.length || !(this.#headOnly || isComplete(answer, bodyAt))) return;
    this.#received = nothing;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(answer);
  }
}

function isComplete(answer: Buffer, bodyAt: number): boolean {
  const length = /^content-length: *(\d+)/imu.exec(answer.toString('latin1', 0, bodyAt))?.[1];
  if (length !== undefined) return answer.length >= bodyAt + Number(length);
  return answer.subarray(-lastChunk.length).equals(lastChunk);
}

/** The bytes of a request. @param body JSON; '' for none @param headers further ones */
export function requestBytes(
  method: string,
  url: URL,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Buffer {
  const lines = [
    `${method} ${url.pathname}${url.search} HTTP/1.1`,
    `Host: ${url.host}`,
    'Accept: application/json',
    'User-Agent: bench',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(body.length === 0 ? [] : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`]),
  ];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}${headEnd}`), Buffer.from(body)]);
}
