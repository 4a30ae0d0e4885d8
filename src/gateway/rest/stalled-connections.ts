/**
 * Ends connections of the REST API that hold resources without using them: a request that is never finished, an answer
 * that is never read, a session without a request. Node.js ends unfinished HTTP/1.1 requests by itself, but nothing in
 * HTTP/2.
 */

import type { Server as Http1Server } from 'node:http';
import { constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';

export interface StalledConnectionOptions {
  /** From a request's first byte to its last, in ms. */
  readonly requestTimeoutMs: number;
  /** Without any byte in either direction, in ms. A caller that waits for a result has read all that there is. */
  readonly idleTimeoutMs: number;
  /** Called for each connection that is ended. */
  readonly ended: () => void;
}

export function endStalledConnections(
  http1: Http1Server,
  http2: Http2Server,
  { requestTimeoutMs, idleTimeoutMs, ended }: StalledConnectionOptions,
): void {
  http1.setTimeout(idleTimeoutMs, (socket) => {
    if (socket.writableLength === 0) return;
    ended();
    socket.destroy();
  });
  http2.on('session', (session: ServerHttp2Session) => {
    const streams = new Set<ServerHttp2Stream>();
    session.on('stream', (stream: ServerHttp2Stream) => {
      streams.add(stream);
      const unfinished = setTimeout(() => {
        ended();
        stream.close(constants.NGHTTP2_CANCEL);
      }, requestTimeoutMs);
      stream.once('end', () => {
        clearTimeout(unfinished);
      });
      stream.once('close', () => {
        clearTimeout(unfinished);
        streams.delete(stream);
      });
    });
    session.setTimeout(idleTimeoutMs, () => {
      const stalled = [...streams].some((stream) => stream.writableLength > 0);
      if (stalled) {
        ended();
        session.destroy();
      } else if (streams.size === 0) session.close();
    });
  });
}
