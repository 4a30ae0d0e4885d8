/** An HTTPS API server that knows its version alone and keeps what it is asked, for what clients send of themselves. */

import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import { makeCertificates, type Certificates } from '../commands/certificates.js';

export interface Recorded {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Each line as it came; headers joins what is said twice. */
  readonly lines: readonly string[];
  /** The name that the client wants a certificate for. */
  readonly servername: string | false | null;
  /** The common name of the client's certificate. */
  readonly certificate: string | undefined;
}

export interface RecordingServer {
  readonly port: number;
  readonly certificates: Certificates;
  readonly requests: Recorded[];
  /** Of `/version`. */
  status: number;
}

export async function startRecordingServer(t: {
  teardown(release: () => void | Promise<void>): unknown;
}): Promise<RecordingServer> {
  const certificates = makeCertificates(t);
  const requests: Recorded[] = [];
  const recording = { port: 0, certificates, requests, status: 200 };
  const options = {
    cert: certificates.read(certificates.chain),
    key: certificates.read(certificates.key),
    requestCert: true,
    rejectUnauthorized: false,
  };
  const server = createServer(options, (request, response) => {
    const { socket } = request;
    if (!(socket instanceof TLSSocket)) return;
    const lines = request.rawHeaders.flatMap((name, index) =>
      index % 2 === 0 ? [`${name.toLowerCase()}: ${request.rawHeaders[index + 1] ?? ''}`] : [],
    );
    const certificate = socket.getPeerCertificate().subject as { CN?: string } | undefined;
    requests.push({
      path: request.url ?? '',
      headers: request.headers,
      lines,
      servername: 'servername' in socket ? (socket.servername as string | false) : null,
      certificate: certificate?.CN,
    });
    const code = request.url === '/version' ? recording.status : 404;
    response.writeHead(code, { 'content-type': 'application/json' });
    const refusal = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message: 'refused' };
    response.end(JSON.stringify(code === 200 ? { gitVersion: 'v1.35.0' } : refusal));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  recording.port = (server.address() as AddressInfo).port;
  t.teardown(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return recording;
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
