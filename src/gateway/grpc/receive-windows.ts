/**
 * How much agents may send before the gateway has read it (flow control of HTTP/2). With the 64 KiB that are the default,
 * an agent 50 ms away would send less than 1 MB/s, on all its streams together.
 */

import type { Http2Server } from 'node:http2';
import type { Server } from '@grpc/grpc-js';

/**
 * On one stream. As many bytes of each agent are kept in memory while its stream is not read: while the database does not
 * take cached objects, these are all agents' streams of such objects.
 */
const streamBytes = 524_288;
/** On one connection. These only travel, so it may be more than its streams take: none of them holds up another. */
const connectionBytes = 2_097_152;

/**
 * Widens the windows of every connection that the server takes from now on.
 * @throws Error if this version of grpc-js keeps its HTTP/2 servers elsewhere
 */
export function widenReceiveWindows(server: Server): void {
  // Its servers do not know the option `grpc-node.flow_control_window` of its clients, and the HTTP/2 servers below are private.
  const http2Servers: unknown = server['http2Servers'];
  if (!(http2Servers instanceof Map) || http2Servers.size === 0)
    throw new Error('grpc-js keeps its HTTP/2 servers elsewhere than in Server.http2Servers');
  for (const http2Server of http2Servers.keys() as Iterable<Http2Server>) {
    http2Server.on('session', (session) => {
      session.settings({ initialWindowSize: streamBytes });
      session.setLocalWindowSize(connectionBytes);
    });
  }
}
