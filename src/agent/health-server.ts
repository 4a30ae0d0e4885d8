/** The agent's two small HTTP ports: health for probes, metrics for Prometheus. */

import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { GatewayError, messageOf } from '../core/errors.js';

/** An open port. */
export interface OpenPort {
  readonly port: number;
  close(): Promise<void>;
}

/** `/health` (alive) and `/readyz` (registered with a gateway); the answer says why not. */
export function healthListener(state: () => { readonly ready: boolean; readonly state: string }): RequestListener {
  return (request, response) => {
    const path = request.url?.split('?')[0];
    const now = state();
    if (path !== '/health' && path !== '/healthz' && path !== '/readyz') {
      response.writeHead(404).end();
      return;
    }
    const code = path !== '/readyz' || now.ready ? 200 : 503;
    response.writeHead(code, { 'content-type': 'application/json' }).end(`${JSON.stringify(now)}\n`);
  };
}

export function metricsListener(registry: Registry, collect: () => void): RequestListener {
  return (request, response) => {
    if (request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    collect();
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  };
}

/** @param setting for the error. @throws GatewayError `configuration` when the port cannot be opened */
export async function openPort(
  host: string,
  port: number,
  setting: string,
  listener: RequestListener,
): Promise<OpenPort> {
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5_000, connectionsCheckingInterval: 5_000 },
    listener,
  );
  server.maxConnections = 100;
  try {
    server.listen({ host, port });
    await once(server, 'listening');
  } catch (error) {
    throw new GatewayError('configuration', `${setting}: port ${String(port)} cannot be opened: ${messageOf(error)}`, {
      field: setting,
      cause: error,
    });
  }
  return { port: (server.address() as AddressInfo).port, close: () => closed(server) };
}

async function closed(server: Server): Promise<void> {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
}
