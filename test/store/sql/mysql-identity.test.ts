/** The certificate of a MySQL server is checked with its name: mysql2 alone would take any of a trusted authority. */

import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'tap';
import { TLSSocket } from 'node:tls';
import { openDatabase } from '../../../src/store/sql/database.js';
import { makeCertificates } from '../../commands/certificates.js';
import { waitFor } from '../../wait.js';

/** The first packet of a MySQL server that offers TLS (protocol 10). */
function greeting(): Buffer {
  // CLIENT_PROTOCOL_41, CLIENT_SSL, CLIENT_SECURE_CONNECTION, CLIENT_PLUGIN_AUTH
  const capabilities = Buffer.alloc(4);
  capabilities.writeUInt32LE(0x0200 | 0x0800 | 0x8000 | 0x00080000);
  const body = Buffer.concat([
    Buffer.from([10]),
    Buffer.from('8.0.0\0'),
    Buffer.from([1, 0, 0, 0]),
    Buffer.from('12345678\0'),
    capabilities.subarray(0, 2),
    Buffer.from([45, 2, 0]),
    capabilities.subarray(2),
    Buffer.from([21]),
    Buffer.alloc(10),
    Buffer.from('123456789012\0'),
    Buffer.from('mysql_native_password\0'),
  ]);
  return Buffer.concat([Buffer.from([body.length, 0, 0, 0]), body]);
}

const sslRequestBytes = 36;

test('sql.ssl.verify includes the name', async (t) => {
  const certificates = makeCertificates(t);
  const [cert, key, ca] = [certificates.chain, certificates.key, certificates.authority].map((path) =>
    readFileSync(path, 'utf8'),
  ) as [string, string, string];
  let loggedIn = 0;
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.write(greeting());
    socket.once('data', (request) => {
      socket.pause();
      // The request for TLS; what comes with it is TLS already.
      socket.unshift(request.subarray(sslRequestBytes));
      const secure = new TLSSocket(socket, { isServer: true, cert, key });
      secure.on('error', () => undefined);
      secure.once('data', () => {
        // The first encrypted bytes hold the user and the answer to the greeting.
        loggedIn += 1;
        secure.destroy();
      });
    });
  }).listen(0, 'localhost');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await waitFor(() => server.listening);
  const { port } = server.address() as AddressInfo;
  const connect = async (rejectUnauthorized: boolean): Promise<string> => {
    const database = openDatabase({
      ...{ url: `mysql://app:hunter2@localhost:${String(port)}/name`, ssl: { ca, rejectUnauthorized } },
      ...{ maxPoolSize: 1, connectionTimeoutMs: 5_000, queryTimeoutMs: 5_000 },
    });
    try {
      await database.ping(AbortSignal.timeout(10_000));
      return 'connected';
    } catch (error) {
      return (error as Error).message;
    } finally {
      await database.close();
    }
  };
  t.match(await connect(true), /does not match certificate/u);
  t.equal(loggedIn, 0, 'no credentials were sent to the stranger');
  await connect(false);
  t.equal(loggedIn, 1, 'it is the name that was refused');
});
