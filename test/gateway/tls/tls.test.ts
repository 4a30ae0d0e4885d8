/** Both ports with TLS: ALPN on the REST port, client certificates on the agents' port, and cleartext refused. */

import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { credentials, status } from '@grpc/grpc-js';
import { test } from 'tap';
import { silentLogger } from '../../../src/core/logger.js';
import { Port } from '../../../src/gateway/listeners/port.js';
import { createMetrics } from '../../../src/gateway/telemetry/metrics.js';
import { makeCertificates, type Certificates } from '../../commands/certificates.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway } from '../running-gateway.js';

const run = promisify(execFile);

/** A client's certificate and key of the same authority, or of its own. */
function makeClient({ directory }: Certificates, name: string, trusted: boolean): { cert: string; key: string } {
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { cwd: directory, stdio: 'pipe', timeout: 20_000 });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`];
  if (trusted) {
    openssl('req', ...newKey, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const authority = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial'];
    openssl('x509', '-req', '-in', `${name}.csr`, ...authority, '-out', `${name}.crt`, '-days', '30');
  } else openssl('req', '-x509', ...newKey, '-out', `${name}.crt`, '-days', '30', '-subj', `/CN=${name}`);
  return { cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
}

test('TLS on both ports, client certificates required of agents', async (t) => {
  const certificates = makeCertificates(t);
  const files = (section: string) => ({
    [`${section}.enabled`]: true,
    [`${section}.certificateChain`]: certificates.chain,
    [`${section}.privateKey`]: certificates.key,
  });
  const gateway = await startGateway(t, {
    ...files('server.ssl'),
    ...files('kubesvc.grpc.server.security'),
    'kubesvc.grpc.server.security.trustCertCollection': certificates.authority,
    'kubesvc.grpc.server.security.clientAuth': 'REQUIRE',
  });
  const { agentsPort, restPort, log } = gateway;
  const ca = Buffer.from(certificates.read(certificates.authority));
  const named = { 'grpc.ssl_target_name_override': 'gateway', 'grpc.default_authority': 'gateway' };

  await t.test('REST by ALPN: HTTP/2, HTTP/1.1, and HTTP/1.1 without ALPN', async (t) => {
    const url = `https://gateway:${restPort}/readyz`;
    const trust = ['--cacert', certificates.authority, '--resolve', `gateway:${restPort}:127.0.0.1`];
    const ask = async (...args: string[]): Promise<string> =>
      (await run('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code} %{http_version}', ...trust, ...args, url]))
        .stdout;
    t.equal(await ask('--http2'), '200 2');
    t.equal(await ask('--http1.1'), '200 1.1');
    t.equal(await ask('--no-alpn'), '200 1.1');
  });

  await t.test('cleartext on a TLS port gets one sentence', async (t) => {
    for (const [port, sentence] of [
      [restPort, /over TLS only \(server\.ssl\.enabled\)/u],
      [agentsPort, /gRPC over HTTP\/2 only/u],
    ] as const) {
      const { stdout } = await run('curl', ['-s', '-w', '%{http_code}', `http://127.0.0.1:${port}/readyz`]);
      t.match(stdout, sentence);
      t.match(stdout, /\n505$/u);
    }
    const socket = connect(agentsPort, '127.0.0.1');
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    t.match(answer.toString(), /gRPC over TLS only \(kubesvc\.grpc\.server\.security\.enabled\)/u);
  });

  await t.test('an agent with a certificate of the authority is served', async (t) => {
    const { cert, key } = makeClient(certificates, 'agent', true);
    const secure = credentials.createSsl(ca, Buffer.from(certificates.read(key)), Buffer.from(certificates.read(cert)));
    const agent = new RawAgent(`127.0.0.1:${agentsPort}`, secure, named);
    t.teardown(() => agent.close());
    agent.send({ case: 'register', value: { agentId: 'secure', accounts: [{ name: 'a' }] } });
    t.match(await agent.next('registered'), { clouddriverId: 'gateway-under-test' });
  });

  await t.test('an agent without a certificate, or with one of another authority, is not', async (t) => {
    const { cert, key } = makeClient(certificates, 'stranger', false);
    const strange = credentials.createSsl(
      ca,
      Buffer.from(certificates.read(key)),
      Buffer.from(certificates.read(cert)),
    );
    for (const [secure, reason] of [
      [credentials.createSsl(ca), /peer did not return a certificate$/u],
      [strange, /the client's certificate is not trusted: DEPTH_ZERO_SELF_SIGNED_CERT$/u],
    ] as const) {
      const before = log.filter(({ msg }) => msg.startsWith('connection refused')).length;
      const agent = new RawAgent(`127.0.0.1:${agentsPort}`, secure, named);
      t.teardown(() => agent.close());
      agent.send({ case: 'register', value: { agentId: 'insecure', accounts: [{ name: 'b' }] } });
      t.equal((await agent.ended()).code, status.UNAVAILABLE);
      t.same(agent.frames, []);
      const lines = log.filter(({ msg }) => msg.startsWith('connection refused')).slice(before);
      t.match(lines[0], { address: /^127\.0\.0\.1:[1-9]/u, msg: reason });
    }
  });

  await t.test('a client that does not speak HTTP/2 inside TLS gets one sentence', async (t) => {
    const { cert, key } = makeClient(certificates, 'old', true);
    const client = { cert: certificates.read(cert), key: certificates.read(key), ca, servername: 'gateway' };
    const socket = connectTls({ port: agentsPort, host: '127.0.0.1', ...client });
    await once(socket, 'secureConnect');
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const [answer] = (await once(socket, 'data', { signal: AbortSignal.timeout(120_000) })) as [Buffer];
    t.match(answer.toString(), /^HTTP\/1\.1 505 .*gRPC over HTTP\/2 only/su);
    socket.destroy();
  });
});

test('optional client certificates are checked when one is shown', async (t) => {
  const certificates = makeCertificates(t);
  const pem = (file: string): Buffer => Buffer.from(certificates.read(file));
  const ca = pem(certificates.authority);
  const refusals: string[] = [];
  const port = new Port({
    name: 'rest',
    address: '127.0.0.1',
    port: 0,
    setting: 'server.port',
    protocols: { http1: (socket) => socket.end('taken') },
    tls: {
      ...{ cert: pem(certificates.chain), key: pem(certificates.key), ca },
      ...{ requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' },
    },
    refusal: () => 'refused',
    ticketKeys: undefined,
    firstBytesTimeoutMs: 5_000,
    limits: { maxConnections: 10, maxConnectionsPerAddress: 10, maxHalfOpenConnections: 10 },
    logger: { ...silentLogger, warn: (_fields, message) => refusals.push(message) },
    metrics: createMetrics('gateway', 'test'),
  });
  t.teardown(() => port.close());
  const { port: number } = await port.listen();
  const connected = async (client: { cert?: Buffer; key?: Buffer }): Promise<string> => {
    const socket = connectTls({ port: number, host: '127.0.0.1', ca, servername: 'gateway', ...client });
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.on('error', () => undefined);
    await once(socket, 'close', { signal: AbortSignal.timeout(120_000) });
    return answer;
  };
  const [friend, stranger] = [makeClient(certificates, 'friend', true), makeClient(certificates, 'stranger', false)];
  t.equal(await connected({}), 'taken', 'none is shown');
  t.equal(await connected({ cert: pem(friend.cert), key: pem(friend.key) }), 'taken', 'a trusted one');
  t.same(refusals, []);
  t.equal(await connected({ cert: pem(stranger.cert), key: pem(stranger.key) }), '', 'a strange one');
  t.match(refusals, [/certificate is not trusted: DEPTH_ZERO_SELF_SIGNED_CERT/u]);
});
