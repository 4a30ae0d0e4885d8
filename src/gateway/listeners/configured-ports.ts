/** The two ports of the configuration, and their answers to clients of another protocol. */

import type { Socket } from 'node:net';
import type { Logger } from '../../core/logger.js';
import type { Config } from '../config/config.js';
import { Port, type TakeSocket } from './port.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { TlsMaterial } from '../tls/material.js';
import type { TicketKeysOptions } from '../tls/ticket-keys.js';

interface Shared {
  readonly config: Config;
  readonly tls: TlsMaterial | undefined;
  /** Absent: instances share no secret. */
  readonly ticketKeys: TicketKeysOptions | undefined;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export function createAgentsPort(
  { config, tls, ticketKeys, logger, metrics }: Shared,
  http2: (socket: Socket) => void,
): Port {
  const { address, port, handshakeTimeoutMs } = config.kubesvc.grpc.server;
  return new Port({
    name: 'agents',
    address,
    port,
    setting: 'kubesvc.grpc.server.port',
    protocols: { http2 },
    tls,
    ticketKeys,
    refusal: (protocol) => {
      switch (protocol) {
        case 'tls':
          return 'This port speaks cleartext HTTP/2 (gRPC) only: TLS is off (kubesvc.grpc.server.security.enabled).';
        case 'http2':
          return 'This port speaks gRPC over TLS only (kubesvc.grpc.server.security.enabled).';
        default:
          return 'This port speaks gRPC over HTTP/2 only: a proxy or load balancer in between must not change it to HTTP/1.1. The REST API is on another port.';
      }
    },
    firstBytesTimeoutMs: handshakeTimeoutMs,
    limits: config.kubesvc.grpc.server,
    logger,
    metrics,
  });
}

export function createRestPort(
  { config, tls, ticketKeys, logger, metrics }: Shared,
  protocols: { readonly http1: TakeSocket; readonly http2: TakeSocket },
): Port {
  const { address, port } = config.server;
  return new Port({
    name: 'rest',
    address,
    port,
    setting: 'server.port',
    protocols,
    tls,
    ticketKeys,
    refusal: (protocol) => {
      if (protocol === 'tls') return 'This port speaks HTTP in cleartext: TLS is off (server.ssl.enabled).';
      return `This port speaks HTTP/1.1 and HTTP/2 ${tls === undefined ? 'in cleartext' : 'over TLS'} only (server.ssl.enabled).`;
    },
    firstBytesTimeoutMs: config.kubesvc.grpc.server.handshakeTimeoutMs,
    limits: config.server,
    logger,
    metrics,
  });
}
