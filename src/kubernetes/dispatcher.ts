/** Makes connections to an API server: TLS, and the proxy in between. */

import { createSecureContext } from 'node:tls';
import { Agent, ProxyAgent, type Dispatcher } from 'undici';
import { TellableError } from '../core/errors.js';

/** Below the time after which load balancers drop a silent connection. */
const connect = { keepAlive: true, keepAliveInitialDelay: 30_000, timeout: 10_000 };

export interface ApiTls {
  /** PEM; absent: the CA certificates of Node.js. */
  readonly ca: Buffer | string | undefined;
  /** PEM, both or neither. */
  readonly cert: Buffer | string | undefined;
  readonly key: Buffer | string | undefined;
  readonly servername: string | undefined;
  readonly rejectUnauthorized: boolean;
}

/** @throws Error if certificate, key or CA certificate is invalid, or they do not belong together */
export function openDispatcher(server: URL, tls: ApiTls, proxy: URL | undefined): Dispatcher {
  if (server.protocol === 'https:') check(tls);
  const { ca, cert, key, servername, rejectUnauthorized } = tls;
  const authority = { ...(ca === undefined ? {} : { ca }), rejectUnauthorized };
  const credentials = { ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
  const requestTls = { ...authority, ...credentials, ...(servername === undefined ? {} : { servername }) };
  if (proxy === undefined) return new Agent({ connect: { ...connect, ...requestTls } });
  return new ProxyAgent({
    uri: proxy.href,
    requestTls: { ...connect, ...requestTls },
    // As Go: the proxy's own certificate is verified with the same CA certificates, and cleartext HTTP is not
    // tunnelled.
    ...(proxy.protocol === 'https:' ? { proxyTls: { ...connect, ...authority } } : {}),
    proxyTunnel: server.protocol === 'https:',
  });
}

function check({ ca, cert, key }: ApiTls): void {
  if (ca !== undefined && !String(ca).includes('-----BEGIN ')) {
    throw new TellableError('certificate-authority: expected certificates as PEM');
  }
  try {
    createSecureContext({ ca, cert, key });
  } catch (error) {
    const message =
      'client-certificate, client-key or certificate-authority: expected PEM, and a key of the certificate';
    throw new TellableError(message, { cause: error });
  }
}
