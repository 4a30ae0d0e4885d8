/**
 * The two ports. A plain TCP server reads the first bytes of a connection and hands the socket to the server for that
 * protocol; a client of another protocol gets a sentence that names the problem, and does not hang.
 */

import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import { GatewayError, messageOf } from '../../core/errors.js';
import type { Logger } from '../../core/logger.js';
import { RevokedCertificates } from '../auth/revoked-certificates.js';
import { ConnectionLimits, type ConnectionLimitSettings } from './connection-limits.js';
import { sniff } from './first-bytes.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { TlsMaterial } from '../tls/material.js';
import { ticketKeys, type TicketKeysOptions } from '../tls/ticket-keys.js';

/** Takes a socket over; none of its bytes are consumed. */
export type TakeSocket = (socket: Socket) => void;

export interface PortOptions {
  /** For logs and metrics: "agents", "rest". */
  readonly name: string;
  readonly address: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** The setting that names the port, for the error when it cannot be opened. */
  readonly setting: string;
  /** The server for each protocol; other protocols are refused. With TLS, ALPN decides (RFC 7301). */
  readonly protocols: Partial<Record<'http2' | 'http1', TakeSocket>>;
  /** Absent: cleartext. */
  readonly tls: TlsMaterial | undefined;
  /** Absent: no other instance shares them, so none resumes a session of this one. */
  readonly ticketKeys: TicketKeysOptions | undefined;
  /** The answer to a client of another protocol. */
  readonly refusal: (protocol: 'http2' | 'http1' | 'tls' | 'unknown') => string;
  /** From the connection to its first bytes, in ms. */
  readonly firstBytesTimeoutMs: number;
  readonly limits: ConnectionLimitSettings;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/**
 * A fleet dials at once after a stall; with Node.js' default of 511 the kernel would drop the others. The kernel has a
 * limit of its own.
 */
const backlog = 8_192;
const logLines = 50;
const logPeriodMs = 10_000;

export class Port {
  readonly #options: PortOptions;
  readonly #sockets = new Set<Socket>();
  /** Those whose handshake is done. */
  readonly #secured = new Set<TLSSocket>();
  readonly #limits: ConnectionLimits;
  /** Lines of refusals in a period, on the monotonic clock in ms: an attack must not fill the log. */
  #logged = { lines: 0, until: 0 };
  /** For log lines about sockets that are already closed. */
  readonly #addresses = new WeakMap<Socket, string>();
  /** Set by the last renewal; every handshake has already checked the list of the start. */
  #revoked: RevokedCertificates | undefined;
  #server: Server | undefined;
  #tls: TlsServer | undefined;
  #material: TlsMaterial | undefined;

  constructor(options: PortOptions) {
    this.#options = options;
    this.#material = options.tls;
    this.#limits = new ConnectionLimits(options.limits, (socket) => {
      this.#overLimit(socket, 'too many half-open connections (maxHalfOpenConnections)');
    });
  }

  /** @throws GatewayError `configuration` naming the setting, when the port cannot be opened */
  async listen(): Promise<AddressInfo> {
    const { address, port, setting } = this.#options;
    const server = createServer({ noDelay: true }, (socket) => {
      this.#accept(socket);
    });
    this.#server = server;
    this.#tls = this.#secure();
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const reason = error.code === 'EADDRINUSE' ? 'another process uses it' : messageOf(error);
        reject(
          new GatewayError(
            'configuration',
            `${setting}: port ${String(port)} on ${address} cannot be opened: ${reason}`,
            { field: setting, cause: error },
          ),
        );
      });
      server.listen({ port, backlog, ...(address === '*' ? {} : { host: address }) }, resolve);
    });
    return server.address() as AddressInfo;
  }

  /**
   * New handshakes use this; open connections continue, except those whose certificate is revoked. Whether clients need
   * certificates does not change. If it would be judged by other files, a client shows its certificate anew: earlier
   * sessions are not resumed, because their tickets are under another key.
   * @throws GatewayError `configuration` when the revocation list cannot be read; nothing changes then
   */
  renew(material: TlsMaterial): void {
    const revoked = material.crl && RevokedCertificates.parse(material.crl);
    this.#tls?.setSecureContext({ ...material, ...this.#sessions(material) });
    this.#material = material;
    this.#revoked = revoked;
    for (const socket of this.#secured) this.#endRevoked(socket);
  }

  /** Uses the keys of this moment for session tickets: call it again and again. */
  renewTickets(): void {
    const keys = this.#material && this.#sessions(this.#material).ticketKeys;
    if (keys !== undefined) this.#tls?.setTicketKeys(keys);
  }

  /** Which sessions are resumed: by default the command line must be the same, beside the keys. */
  #sessions(material: TlsMaterial): { readonly sessionIdContext: string; readonly ticketKeys?: Buffer } {
    const { name, ticketKeys: options } = this.#options;
    const sessionIdContext = `agent-gateway ${name}`;
    return options === undefined
      ? { sessionIdContext }
      : { sessionIdContext, ticketKeys: ticketKeys(options, name, material) };
  }

  #endRevoked(socket: TLSSocket): void {
    const certificate = this.#revoked && socket.getPeerX509Certificate();
    if (certificate === undefined || this.#revoked?.has(certificate) !== true) return;
    this.#log(socket, 'tls', 'its certificate was revoked after it connected');
    socket.destroy();
  }

  /** Takes no new connections; open ones go on. */
  refuse(): void {
    this.#server?.close();
  }

  /** Ends everything. */
  close(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  get connections(): number {
    return this.#sockets.size;
  }

  #accept(socket: Socket): void {
    const refusal = this.#limits.take(socket);
    if (refusal !== undefined) {
      this.#overLimit(socket, refusal);
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    this.#addresses.set(socket, `${socket.remoteAddress ?? '?'}:${String(socket.remotePort ?? 0)}`);
    // Until the socket is handed over, nothing else listens for its errors.
    const onError = () => socket.destroy();
    let lastLook: NodeJS.Immediate | undefined;
    const timer = setTimeout(() => {
      // A process that was frozen may not have read bytes that came in time.
      lastLook = setImmediate(() => {
        this.#log(socket, 'nothing', 'no bytes received in time');
        socket.destroy();
      });
    }, this.#options.firstBytesTimeoutMs);
    const inTime = (): void => {
      clearTimeout(timer);
      clearImmediate(lastLook);
    };
    let received: Buffer = Buffer.alloc(0);
    const onReadable = () => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const protocol = sniff(received);
      if (protocol === 'incomplete') return;
      socket.unshift(received);
      inTime();
      socket.off('readable', onReadable);
      socket.off('error', onError);
      this.#hand(socket, protocol);
    };
    socket.on('error', onError);
    socket.on('readable', onReadable);
    socket.once('close', inTime);
  }

  #hand(socket: Socket, protocol: 'http2' | 'http1' | 'tls' | 'unknown'): void {
    const { protocols } = this.#options;
    if (this.#tls !== undefined && protocol === 'tls') {
      this.#tls.emit('connection', socket);
      return;
    }
    // With TLS on, nothing is served in cleartext.
    const take =
      this.#tls !== undefined || protocol === 'unknown' || protocol === 'tls' ? undefined : protocols[protocol];
    if (take !== undefined) {
      this.#limits.opened(socket);
      take(socket);
      return;
    }
    const sentence = this.#options.refusal(protocol);
    this.#log(socket, protocol, sentence);
    const body = `${sentence}\n`;
    const head = `HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ${String(Buffer.byteLength(body))}\r\nconnection: close\r\n\r\n`;
    socket.on('error', () => socket.destroy());
    socket.setTimeout(1_000, () => socket.destroy());
    // Reads on, so that closing does not reset the connection before the client has read the answer.
    socket.resume();
    socket.end(head + body);
  }

  #secure(): TlsServer | undefined {
    const { tls, protocols, firstBytesTimeoutMs } = this.#options;
    if (tls === undefined) return undefined;
    const names = { http2: 'h2', http1: 'http/1.1' } as const;
    const offered = (['http2', 'http1'] as const).filter((protocol) => protocols[protocol] !== undefined);
    const server = createTlsServer({
      ...tls,
      ...this.#sessions(tls),
      ALPNProtocols: offered.map((protocol) => names[protocol]),
      handshakeTimeout: firstBytesTimeoutMs,
    });
    server.on('secureConnection', (socket) => {
      this.#limits.opened(acceptedOf(socket));
      if (showsStrangeCertificate(socket, tls)) {
        this.#log(socket, 'tls', refusedHandshake(socket));
        socket.destroy();
        return;
      }
      this.#secured.add(socket);
      socket.once('close', () => this.#secured.delete(socket));
      // The handshake may have begun with the earlier list.
      this.#endRevoked(socket);
      if (socket.destroyed) return;
      const take = protocols[socket.alpnProtocol === 'h2' ? 'http2' : 'http1'];
      if (take !== undefined) take(socket);
      else this.#hand(socket, 'http1');
    });
    server.on('tlsClientError', (error, socket) => {
      this.#log(socket, 'tls', refusedHandshake(socket, error));
      socket.destroy();
    });
    return server;
  }

  #overLimit(socket: Socket, reason: string): void {
    this.#addresses.set(socket, `${socket.remoteAddress ?? '?'}:${String(socket.remotePort ?? 0)}`);
    this.#log(socket, 'limit', reason);
    socket.on('error', () => undefined);
    socket.destroy();
  }

  #log(socket: Socket, protocol: string, reason: string): void {
    this.#options.metrics.refusedConnections.inc({ port: this.#options.name, protocol });
    const now = performance.now();
    if (now >= this.#logged.until) this.#logged = { lines: 0, until: now + logPeriodMs };
    this.#logged.lines += 1;
    if (this.#logged.lines > logLines) return;
    const more = this.#logged.lines === logLines ? '; further ones are counted, not logged, for a while' : '';
    this.#options.logger.warn(
      { port: this.#options.name, address: this.#addresses.get(acceptedOf(socket)) ?? '?', protocol },
      `connection refused: ${reason}${more}`,
    );
  }
}

/** The accepted socket is below the TLS socket, in a property that Node.js does not document. */
function acceptedOf(socket: Socket): Socket {
  return (socket as { readonly _parent?: Socket })._parent ?? socket;
}

/**
 * If certificates are optional, Node.js accepts a client with an untrusted one; but a presented certificate must be
 * valid.
 */
function showsStrangeCertificate(socket: TLSSocket, { requestCert }: TlsMaterial): boolean {
  return requestCert && !socket.authorized && Object.keys(socket.getPeerCertificate()).length > 0;
}

/** Why a handshake failed: what is wrong with the client's certificate, OpenSSL's reason, or the error. */
function refusedHandshake(socket: TLSSocket, error?: Error & { readonly reason?: string }): string {
  // Node.js types it as an Error, and makes it a code such as DEPTH_ZERO_SELF_SIGNED_CERT.
  const certificate: unknown = socket.authorizationError;
  if (certificate !== null && certificate !== undefined && certificate !== 'UNABLE_TO_GET_ISSUER_CERT')
    return `the client's certificate is not trusted: ${messageOf(certificate)}`;
  return `TLS handshake failed: ${error?.reason ?? messageOf(error)}`;
}
