/**
 * An API server that knows its version alone and keeps what it is asked, for what clients send of themselves: by HTTPS and
 * by cleartext HTTP, behind an HTTP proxy and a SOCKS5 proxy that lead to it whatever name they are asked for.
 */

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { makeCertificates, type Certificates } from '../commands/certificates.js';

export interface Recorded {
  readonly path: string;
  readonly authorization: string | undefined;
  /** `name: value` as it came, in the order of the alphabet. */
  readonly impersonation: readonly string[];
  /** The name that the client wants a certificate for. */
  readonly servername: string | false;
  /** The common name of the client's certificate. */
  readonly certificate: string | undefined;
}

export interface RecordingServer {
  readonly port: number;
  readonly httpPort: number;
  readonly proxyPort: number;
  readonly socksPort: number;
  /** Of the server, for 127.0.0.1, localhost and api.internal. */
  readonly certificates: Certificates;
  readonly requests: Recorded[];
  /** What the proxies were asked for, and with which credentials. */
  readonly proxied: string[];
  /** Of `/version`. */
  status: number;
}

type Teardown = { teardown(release: () => void | Promise<void>): unknown };

export async function startRecordingServer(t: Teardown): Promise<RecordingServer> {
  const certificates = makeCertificates(t);
  sign(certificates, 'server', '/CN=api', 'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:api.internal');
  sign(certificates, 'client', '/CN=me', 'extendedKeyUsage=clientAuth');
  const requests: Recorded[] = [];
  const proxied: string[] = [];
  const recording = { certificates, requests, proxied, status: 200 };
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    requests.push(recorded(request));
    const code = request.url?.endsWith('/version') === true ? recording.status : 404;
    response.writeHead(code, { 'content-type': 'application/json' });
    const refusal = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message: 'refused' };
    response.end(JSON.stringify(code === 200 ? { gitVersion: 'v1.35.0' } : refusal));
  };
  const file = (name: string): string => certificates.read(join(certificates.directory, name));
  const tls = { cert: file('server.crt'), key: file('server.key'), requestCert: true, rejectUnauthorized: false };
  const [port, httpPort] = [await open(t, createTlsServer(tls, answer)), await open(t, createServer(answer))];
  const proxy = createServer((request, response) => {
    proxied.push(`${request.method ?? ''} ${request.url ?? ''}`);
    answer(request, response);
  });
  proxy.on('connect', ({ url = '', headers }: IncomingMessage, socket: Socket) => {
    const credentials = headers['proxy-authorization'];
    proxied.push(`CONNECT ${url}${credentials === undefined ? '' : ` ${credentials}`}`);
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    tunnel(socket, port);
  });
  const socks = createTcpServer((socket) => {
    socket.once('data', () => {
      socket.once('data', (asked: Buffer) => {
        proxied.push(`SOCKS5 ${asked.toString('latin1', 5, asked.length - 2)}`);
        socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
        tunnel(socket, port);
      });
      socket.write(Buffer.from([5, 0]));
    });
  });
  return Object.assign(recording, { port, httpPort, proxyPort: await open(t, proxy), socksPort: await open(t, socks) });
}

function recorded({ url = '', headers, rawHeaders, socket }: IncomingMessage): Recorded {
  const lines = rawHeaders.flatMap((name, at) =>
    at % 2 === 0 ? [`${name.toLowerCase()}: ${rawHeaders[at + 1] ?? ''}`] : [],
  );
  const isSecure = socket instanceof TLSSocket;
  const subject = isSecure ? (socket.getPeerCertificate().subject as { CN?: string } | undefined) : undefined;
  return {
    path: url,
    authorization: headers.authorization,
    impersonation: lines.filter((line) => line.startsWith('impersonate-')).sort(),
    servername: isSecure && 'servername' in socket ? (socket.servername as string | false) : false,
    certificate: subject?.CN,
  };
}

function tunnel(socket: Socket, port: number): void {
  const upstream = connect(port, '127.0.0.1');
  for (const each of [socket, upstream]) each.on('error', () => each.destroy());
  socket.pipe(upstream).pipe(socket);
}

async function open(t: Teardown, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
    await once(server, 'close');
  });
  return (server.address() as AddressInfo).port;
}

function sign({ directory }: Certificates, name: string, subject: string, extension: string): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${name}.key`];
  const authority = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-days', '90', '-out', `${name}.crt`];
  const extensions = ['basicConstraints=critical,CA:FALSE', extension].flatMap((one) => ['-addext', one]);
  execFileSync('openssl', ['req', '-x509', ...key, ...authority, '-subj', subject, ...extensions], {
    cwd: directory,
    stdio: 'pipe',
    timeout: 20_000,
  });
}

/** A kubeconfig of one context; JSON is YAML. */
export function kubeconfigOf(cluster: object, user: object, context: object = {}): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', ...context } }],
    'current-context': 'x',
  });
}
