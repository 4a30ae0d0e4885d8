/**
 * A process of its own that opens connections from ADDRESS and says too little on each: `PORT COUNT ADDRESS`. Prints a line
 * once all are open, and holds them until it is ended.
 */

import { once } from 'node:events';
import { connect } from 'node:net';

const [port, count, localAddress = ''] = process.argv.slice(2);
/** At the same time: more than a backlog takes are dropped and tried again after a second. */
const atOnce = 250;

for (let opened = 0; opened < Number(count); opened += atOnce) {
  await Promise.all(
    Array.from({ length: atOnce }, async (_, index) => {
      const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress });
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      // The beginning of a TLS record, or of the HTTP/2 preface.
      socket.write(index % 2 === 0 ? '\x16' : 'PRI * H');
    }),
  );
}
process.stdout.write('open\n');
