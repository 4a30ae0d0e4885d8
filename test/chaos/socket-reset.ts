/**
 * libuv refuses to reset a TCP socket after shutdown() (uv_tcp_close_reset gives EINVAL), and Node.js 20 then forgets
 * the socket without closing it: its descriptor leaks, and the process spins for ever at its end. Proxies reset sockets
 * that were ended; until they look for themselves, such sockets are destroyed here instead.
 */

import { Socket } from 'node:net';

/** From now on resetAndDestroy() of a socket that was ended destroys it. */
export function destroyEndedSockets(): void {
  const descriptor = Object.getOwnPropertyDescriptor(Socket.prototype, 'resetAndDestroy');
  const reset = descriptor?.value as (this: Socket) => Socket;
  Socket.prototype.resetAndDestroy = function (this: Socket): Socket {
    return this.writableEnded ? (this.destroy(), this) : reset.call(this);
  };
}
