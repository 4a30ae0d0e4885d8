/** Resetting sockets without running into a defect of Node. */

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/**
 * Sends a TCP reset. A socket whose end is under way is only destroyed: Node 20 never closes the handle of one that is
 * reset then, and the process spins at its exit. So is one with TLS, which Node cannot reset.
 */
export function resetSocket(socket: Socket | null): void {
  if (socket?.writableEnded === true || socket instanceof TLSSocket) socket.destroy();
  else socket?.resetAndDestroy();
}
