/**
 * A process of its own that opens connections and says too little on each: `PORT COUNT`. Prints a line once all are open,
 * and holds them until it is ended.
 */

import { once } from 'node:events';
import { connect } from 'node:net';

const [port = 0, count = 0] = process.argv.slice(2).map(Number);
/** At the same time: more than a backlog takes are dropped and tried again after a second. */
const atOnce = 250;

for (let opened = 0; opened < count; opened += atOnce) {
  await Promise.all(
    Array.from({ length: atOnce }, async (_, index) => {
      const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      // The beginning of a TLS record, or of the HTTP/2 preface.
      socket.write(index % 2 === 0 ? '\x16' : 'PRI * H');
    }),
  );
}
process.stdout.write('open\n');
