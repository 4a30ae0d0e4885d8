/** A handshake that begins before its certificate is revoked, and ends after. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { test } from 'tap';
import { silentLogger } from '../../../src/core/logger.js';
import { Port } from '../../../src/gateway/listeners/port.js';
import { createMetrics } from '../../../src/gateway/telemetry/metrics.js';
import { waitFor } from '../../wait.js';
import { Authority, type Issued } from './authority.js';

test('a handshake under the list of before', async (t) => {
  const authority = new Authority(t);
  const [server, kept, fired] = ['server', 'kept', 'fired'].map((name) => authority.issue({ subject: `/CN=${name}` }));
  if (server === undefined || kept === undefined || fired === undefined) throw new Error('three certificates');
  authority.list();
  const ca = readFileSync(authority.certificate);
  const pair = ({ certificate, key }: Issued) => ({ cert: readFileSync(certificate), key: readFileSync(key) });
  const material = () => ({
    ...{ ...pair(server), ca, crl: readFileSync(authority.revocationList) },
    ...({ requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const),
  });
  const refusals: string[] = [];
  const port = new Port({
    ...{
      name: 'rest',
      address: '127.0.0.1',
      port: 0,
      setting: 'server.port',
      firstBytesTimeoutMs: 20_000,
      ticketKeys: undefined,
    },
    protocols: { http1: (socket) => socket.end('taken') },
    tls: material(),
    refusal: () => 'refused',
    limits: { maxConnections: 10, maxConnectionsPerAddress: 10, maxHalfOpenConnections: 10 },
    logger: { ...silentLogger, warn: (_fields, message) => refusals.push(message) },
    metrics: createMetrics('gateway', 'test'),
  });
  t.teardown(() => port.close());
  const { port: number } = await port.listen();

  // Lets ClientHello through, and holds the client's certificate.
  const held: (() => void)[] = [];
  const relay = createServer((client: Socket) => {
    const upstream = connect(number, '127.0.0.1');
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    upstream.pipe(client);
    client.once('data', (hello: Buffer) => {
      upstream.write(hello);
      client.pause();
      held.push(() => client.pipe(upstream));
    });
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  t.teardown(() => relay.close());
  const begin = async (issued: Issued): Promise<{ said: string; closed: boolean }> => {
    const { port: at } = relay.address() as AddressInfo;
    const socket = connectTls({
      port: at,
      host: '127.0.0.1',
      ca,
      checkServerIdentity: () => undefined,
      ...pair(issued),
    });
    const state = { said: '', closed: false };
    socket.on('data', (chunk: Buffer) => (state.said += chunk.toString()));
    socket.on('error', () => undefined);
    socket.on('close', () => (state.closed = true));
    t.teardown(() => socket.destroy());
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(120_000) });
    return state;
  };
  const [honest, attacker] = [await begin(kept), await begin(fired)];
  authority.revoke(fired);
  port.renew(material());
  for (const release of held) release();
  await waitFor(() => honest.closed && attacker.closed);
  t.equal(honest.said, 'taken');
  t.equal(attacker.said, '', 'it is ended before anything is served');
  t.match(refusals, [/its certificate was revoked after it connected/u]);
});
