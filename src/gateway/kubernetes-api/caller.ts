/** The caller's side of a request: HTTP/1.1, HTTP/2, and connections that change their protocol. */

import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Socket } from 'node:net';
import { passing } from '../../core/passing-bytes.js';
import type { HeaderList, HttpResponseHead } from '../../tunnel/exchange.js';

/** What is heard from a caller. */
export interface CallerEvents {
  /** Part of the body, or of the upgraded connection. */
  onCallerData(data: Uint8Array): void;
  /** Nothing more comes from it. */
  onCallerEnd(): void;
  /** write() may be called again. */
  onCallerDrain(): void;
  /** Its connection is gone, before or after end(). */
  onCallerGone(): void;
}

export interface Caller {
  /** Begins to read, once. */
  listen(events: CallerEvents): void;
  pause(): void;
  resume(): void;
  /** To be called before respond(): its connection ends after this answer, so that its next request takes another one. */
  endConnection(): void;
  respond(head: HttpResponseHead): void;
  /** @returns false: it is kept, but write nothing more before onCallerDrain() */
  write(data: Uint8Array): boolean;
  end(trailers: HeaderList): void;
  /** Ends the answer such that the caller knows that it is incomplete. */
  cut(): void;
}

/** How often the kernel probes connections on which nothing may happen for hours, in ms. */
const keepAliveMs = 60_000;
/** A body of HTTP/1.1 up to this many bytes is sent together with its head, if it is complete at once. */
const smallBodyBytes = 8_192;

/** A request and its answer on Node.js' HTTP servers. */
export class HttpCaller implements Caller {
  readonly #request: IncomingMessage | Http2ServerRequest;
  readonly #response: ServerResponse | Http2ServerResponse;
  /** Since respond(), until the turn ends or the body goes on: the answer may be complete by then. */
  #beginning = false;
  /** What came of the body meanwhile. */
  #small: Uint8Array | undefined;

  constructor(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse) {
    this.#request = request;
    this.#response = response;
  }

  listen(events: CallerEvents): void {
    const request: IncomingMessage | Http2ServerRequest = this.#request;
    request.on('data', (data: Buffer) => {
      passing(data.length);
      events.onCallerData(data);
    });
    request.on('end', () => {
      events.onCallerEnd();
    });
    // What follows an error is a close.
    request.on('error', () => undefined);
    const isWaiting = !('stream' in this.#response) && this.#response.socket === null;
    const response: NodeJS.EventEmitter = this.#response;
    response.on('drain', () => {
      events.onCallerDrain();
    });
    response.on('error', () => undefined);
    response.on('close', () => {
      events.onCallerGone();
    });
    if (!isWaiting) return;
    // It waits behind another request of its connection, and hears nothing of that until it is its turn.
    const { socket } = this.#request;
    const gone = (): void => {
      events.onCallerGone();
    };
    socket.once('close', gone);
    response.once('close', () => socket.off('close', gone));
  }

  pause(): void {
    this.#request.pause();
  }

  resume(): void {
    this.#request.resume();
  }

  endConnection(): void {
    const response = this.#response;
    if ('stream' in response) response.stream.session?.close();
    else response.shouldKeepAlive = false;
  }

  respond({ status, headers }: HttpResponseHead): void {
    const response = this.#response;
    if ('stream' in response) {
      response.writeHead(status, byName(headers));
      return;
    }
    // A flat list keeps the spelling, the order and the repetitions of the headers.
    response.writeHead(status, headers as string[]);
    this.#beginning = true;
    process.nextTick(() => {
      if (!this.#beginning || response.destroyed) return;
      if (this.#small === undefined) {
        // The rest may take hours.
        response.socket?.setKeepAlive(true, keepAliveMs);
        response.flushHeaders();
      }
      this.#goOn();
    });
  }

  write(data: Uint8Array): boolean {
    if (this.#beginning && this.#small === undefined && data.length <= smallBodyBytes) {
      this.#small = data;
      return true;
    }
    this.#goOn();
    const response = this.#response;
    return 'stream' in response ? response.write(data) : response.write(data);
  }

  end(trailers: HeaderList): void {
    const response = this.#response;
    const small = this.#small;
    if (small !== undefined && trailers.length === 0 && !('stream' in response)) {
      this.#beginning = false;
      this.#small = undefined;
      // Node.js joins a text to the head, and sends both with one call that allocates nothing.
      response.end(Buffer.from(small.buffer, small.byteOffset, small.length).toString('latin1'), 'latin1');
    } else {
      this.#goOn();
      if (trailers.length > 0) response.addTrailers(byName(trailers));
      response.end();
    }
    // Nobody wants the rest of the body; unread, it would stop the next request of the connection.
    this.#request.resume();
  }

  /** The answer is not complete at once. */
  #goOn(): void {
    this.#beginning = false;
    const small = this.#small;
    this.#small = undefined;
    const response = this.#response;
    if (small !== undefined && !('stream' in response)) response.write(small);
  }

  cut(): void {
    this.#beginning = false;
    const response = this.#response;
    if ('stream' in response) response.stream.destroy(new Error('the answer is cut off'));
    // Not the socket of the answer, which has none while it waits behind another one.
    else this.#request.socket.destroy();
  }
}

/**
 * HTTP/2 has names in lower case (RFC 9113, 8.2). The values of one name are joined (RFC 9110, 5.3), because Node.js throws
 * at several of some names.
 */
function byName(headers: HeaderList): Record<string, string> {
  const all = Object.create(null) as Record<string, string>;
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = (headers[index] ?? '').toLowerCase();
    const value = headers[index + 1] ?? '';
    const known = all[name];
    all[name] = known === undefined ? value : `${known}, ${value}`;
  }
  return all;
}

/** Bytes that a caller may send before its request to change the protocol is answered. */
const earlyBytes = 65_536;
/** After the end of one direction of an upgraded connection, how long the other one may be silent, in ms. */
const lingerMs = 30_000;

/** A caller that asks to change the protocol: after 101 its connection carries bytes in both directions. */
export class UpgradingCaller implements Caller {
  /** Holds the socket until it changes its protocol. */
  readonly #response: ServerResponse;
  readonly #request: IncomingMessage;
  readonly #socket: Socket;
  #early: Buffer[];
  #earlyBytes: number;
  #earlyEnd = false;
  #upgraded = false;
  #refused: HttpCaller | undefined;
  #events: CallerEvents | undefined;

  /**
   * @param head what came behind the request, as Node.js gives it with 'upgrade'
   * @throws Error if the connection still answers a request that came before
   */
  constructor(request: IncomingMessage, socket: Socket, head: Buffer) {
    this.#request = request;
    this.#response = new ServerResponse(request);
    this.#response.assignSocket(socket);
    this.#socket = socket;
    this.#early = head.length > 0 ? [head] : [];
    this.#earlyBytes = head.length;
  }

  listen(events: CallerEvents): void {
    this.#events = events;
    const socket = this.#socket;
    socket.setKeepAlive(true, keepAliveMs);
    socket.on('error', () => undefined);
    socket.on('data', this.#read);
    socket.on('end', () => {
      if (this.#upgraded) events.onCallerEnd();
      else this.#earlyEnd = true;
    });
    socket.on('drain', () => {
      events.onCallerDrain();
    });
    // As for every other request (stalled-connections.ts), which Node.js does not ask about this socket any more.
    socket.on('timeout', () => {
      if (socket.writableLength > 0) socket.destroy();
    });
    socket.on('close', () => {
      events.onCallerGone();
    });
  }

  readonly #read = (data: Buffer): void => {
    if (this.#upgraded) {
      this.#events?.onCallerData(data);
      return;
    }
    this.#early.push(data);
    this.#earlyBytes += data.length;
    if (this.#earlyBytes > earlyBytes) this.#socket.pause();
  };

  pause(): void {
    if (this.#upgraded) this.#socket.pause();
  }

  resume(): void {
    if (this.#upgraded) this.#socket.resume();
  }

  endConnection(): void {
    // No connection that was asked to change its protocol takes another request.
  }

  respond(head: HttpResponseHead): void {
    if (head.status !== 101) {
      this.#refuse(head);
      return;
    }
    let lines = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n';
    for (let index = 0; index + 1 < head.headers.length; index += 2) {
      lines += `${head.headers[index] ?? ''}: ${head.headers[index + 1] ?? ''}\r\n`;
    }
    this.#response.detachSocket(this.#socket);
    this.#socket.write(`${lines}\r\n`, 'latin1');
    this.#upgraded = true;
    // Whoever reads the first bytes may ask for a pause.
    this.#socket.resume();
    for (const data of this.#early) this.#events?.onCallerData(data);
    this.#early = [];
    if (this.#earlyEnd) this.#events?.onCallerEnd();
  }

  /** Any other answer is one of HTTP/1.1, after which the connection ends. */
  #refuse(head: HttpResponseHead): void {
    this.#early = [];
    const response = this.#response;
    response.shouldKeepAlive = false;
    // Not end(): the caller might never end its direction.
    response.once('finish', () => {
      this.#socket.destroySoon();
    });
    this.#refused = new HttpCaller(this.#request, response);
    this.#refused.respond(head);
  }

  write(data: Uint8Array): boolean {
    return this.#refused === undefined ? this.#socket.write(data) : this.#refused.write(data);
  }

  end(trailers: HeaderList): void {
    if (this.#refused !== undefined) {
      this.#refused.end(trailers);
      return;
    }
    const socket = this.#socket;
    socket.end();
    socket.setTimeout(lingerMs, () => socket.destroy());
  }

  cut(): void {
    this.#socket.destroy();
  }
}
