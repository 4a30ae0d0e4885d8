/** Who is let in by which first bytes on cleartext ports, and what the others are told. */

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { test, type Test } from 'tap';
import { sniff } from '../../../src/gateway/listeners/first-bytes.js';
import { RawAgent } from '../raw-agent.js';
import { startGateway } from '../running-gateway.js';

const run = promisify(execFile);
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const clientHello = Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00]);

test('sniff', async (t) => {
  await t.test('names every protocol by its first bytes', async (t) => {
    t.equal(sniff(preface), 'http2');
    t.equal(sniff(Buffer.from('GET / HTTP/1.1\r\n')), 'http1');
    t.equal(sniff(Buffer.from('POST /x HTTP/1.1\r\n')), 'http1');
    t.equal(sniff(clientHello), 'tls');
    t.equal(sniff(Buffer.from([0x16, 0x01])), 'unknown', 'a record of another protocol');
    t.equal(sniff(Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')), 'unknown');
    t.equal(sniff(Buffer.from('PRI * HTTP/1.1')), 'unknown', 'nearly the preface');
    t.equal(sniff(Buffer.alloc(0)), 'incomplete');
  });

  await t.test('a prefix is incomplete until it is decided, and stays decided', async (t) => {
    const decided = fc.constantFrom(
      [preface, 'http2'] as const,
      [clientHello, 'tls'] as const,
      ...['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'].map(
        (method) => [Buffer.from(`${method} /path HTTP/1.1\r\nHost: a\r\n\r\n`), 'http1'] as const,
      ),
    );
    const property = fc.property(decided, ([bytes, protocol]) => {
      let known = false;
      for (let length = 0; length <= bytes.length; length += 1) {
        const found = sniff(bytes.subarray(0, length));
        if (found === protocol) known = true;
        else if (known || found !== 'incomplete') return false;
      }
      return known;
    });
    t.doesNotThrow(() => fc.assert(property));
  });

  await t.test('anything gets an answer, and never more bytes than the preface are needed', async (t) => {
    const names = ['http2', 'http1', 'tls', 'unknown', 'incomplete'];
    const anything = fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => names.includes(sniff(bytes)));
    t.doesNotThrow(() => fc.assert(anything));
    const long = fc.uint8Array({ minLength: preface.length, maxLength: 64 });
    t.doesNotThrow(() => fc.assert(fc.property(long, (bytes) => sniff(bytes) !== 'incomplete')));
    const decided = fc.property(fc.uint8Array({ maxLength: 32 }), (bytes) => {
      const found = sniff(bytes);
      return found === 'incomplete' || sniff(Buffer.concat([bytes, Buffer.from('more')])) === found;
    });
    t.doesNotThrow(() => fc.assert(decided));
  });
});

/** What the server says until it closes the connection. */
async function everything(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => undefined);
  if (!socket.closed) await once(socket, 'close', { signal: AbortSignal.timeout(120_000) });
  return Buffer.concat(chunks).toString();
}

test('cleartext ports', async (t) => {
  const handshakeTimeoutMs = 1_000;
  const gateway = await startGateway(t, { 'kubesvc.grpc.server.handshakeTimeoutMs': handshakeTimeoutMs });
  const { agentsPort, restPort, log } = gateway;
  const open = (port: number): Socket => connect({ port, host: '127.0.0.1', noDelay: true });

  const refused = async (t: Test, port: number, first: Uint8Array, sentence: RegExp): Promise<void> => {
    const socket = open(port);
    socket.write(first);
    await once(socket, 'connect');
    const address = `127.0.0.1:${socket.localPort ?? 0}`;
    const answer = await everything(socket);
    t.match(answer, /^HTTP\/1\.1 505 HTTP Version Not Supported\r\n/u);
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    t.match(body, sentence);
    t.equal(body.trimEnd().split('\n').length, 1, 'one line');
    t.match(head, new RegExp(`content-length: ${Buffer.byteLength(body)}\\b`, 'u'));
    const lines = log.filter((line) => line['address'] === address);
    t.equal(lines.length, 1, 'one log line names the address');
    t.match(lines[0], { level: 'warn', msg: /^connection refused: / });
  };

  await t.test('HTTP/1.1, TLS and garbage on the agents port get one sentence', async (t) => {
    await refused(t, agentsPort, Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), /gRPC over HTTP\/2 only.*REST API/u);
    await refused(t, agentsPort, clientHello, /TLS is off \(kubesvc\.grpc\.server\.security\.enabled\)/u);
    await refused(t, agentsPort, Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'), /gRPC over HTTP\/2 only/u);
  });

  await t.test('TLS and garbage on the REST port get one sentence', async (t) => {
    await refused(t, restPort, clientHello, /TLS is off \(server\.ssl\.enabled\)/u);
    await refused(t, restPort, Buffer.from([0, 1, 2, 3]), /HTTP\/1\.1 and HTTP\/2 in cleartext/u);
  });

  await t.test('curl shows the refusal to whoever asks the agents port by HTTP/1.1', async (t) => {
    const { stdout } = await run('curl', ['-s', '-w', '%{http_code}', `http://127.0.0.1:${agentsPort}/readyz`]);
    t.match(stdout, /gRPC over HTTP\/2 only[^\n]*\n505$/u);
  });

  await t.test('a real TLS client on a cleartext port fails at once', async (t) => {
    const socket = connectTls({ port: agentsPort, host: '127.0.0.1', rejectUnauthorized: false });
    const [error] = (await once(socket, 'error', { signal: AbortSignal.timeout(120_000) })) as [Error];
    t.ok(error.message);
  });

  await t.test('a client that sends the preface byte by byte is served', async (t) => {
    for (const port of [agentsPort, restPort]) {
      const socket = open(port);
      for (const byte of preface) {
        socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      // An empty SETTINGS frame (RFC 9113, 6.5) completes the client's part.
      socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
      const [answer] = (await once(socket, 'data', { signal: AbortSignal.timeout(120_000) })) as [Buffer];
      t.equal(answer[3], 4, 'the server answers with SETTINGS');
      socket.destroy();
    }
  });

  await t.test('an HTTP/1.1 client that sends its request byte by byte is served', async (t) => {
    const socket = open(restPort);
    const answer = everything(socket);
    for (const byte of Buffer.from('GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.match(await answer, /^HTTP\/1\.1 200 OK\r\n/u);
  });

  await t.test('a client that sends nothing, or half a preface, is closed at the deadline', async (t) => {
    const started = performance.now();
    const [silent, half] = [open(agentsPort), open(restPort)];
    half.write(preface.subarray(0, 10));
    const answers = await Promise.all([everything(silent), everything(half)]);
    t.same(answers, ['', '']);
    const tookMs = performance.now() - started;
    t.ok(tookMs >= handshakeTimeoutMs - 50, `closed after ${tookMs} ms`);
    t.equal(log.filter(({ msg }) => msg === 'connection refused: no bytes received in time').length, 2);
  });

  await t.test('a client that goes away before it said anything leaves nothing behind', async (t) => {
    const before = log.length;
    for (const port of [agentsPort, restPort]) {
      const socket = open(port);
      await once(socket, 'connect');
      socket.resetAndDestroy();
    }
    const { status } = await gateway.request('/healthz');
    t.equal(status, 200);
    t.equal(log.length, before, 'nor a log line');
  });

  await t.test('the REST port serves HTTP/1.1 and HTTP/2 by prior knowledge', async (t) => {
    const url = `http://127.0.0.1:${restPort}/readyz`;
    const ask = async (...args: string[]): Promise<string> =>
      (await run('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code} %{http_version}', ...args, url])).stdout;
    t.equal(await ask('--http1.1'), '200 1.1');
    t.equal(await ask('--http2-prior-knowledge'), '200 2');
    const session = connectHttp2(`http://127.0.0.1:${restPort}`);
    t.teardown(() => session.destroy());
    const stream = session.request({ ':path': '/healthz' });
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    t.equal(headers[':status'], 200);
    stream.resume();
  });

  await t.test('gRPC on the agents port', async (t) => {
    const agent = await RawAgent.register(t, gateway.agentsAddress, { agentId: 'agent', accounts: [{ name: 'a' }] });
    t.match(agent.all('registered')[0], { clouddriverId: 'gateway-under-test' });
  });
});
