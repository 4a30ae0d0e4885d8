/** Can we listen where we are to listen; if not, who does? */

import { once } from 'node:events';
import { createServer } from 'node:net';
import { Agent, request } from 'undici';
import { messageOf } from '../../core/errors.js';
import type { Config } from '../../gateway/config/config.js';
import { examine, failed, ok, warning, type Finding, type CheckOutcome } from './finding.js';

/** The port of REST first: who holds that one tells whether a gateway holds the other. */
export async function* examinePorts(config: Config, signal: AbortSignal): AsyncGenerator<Finding> {
  const { server, instance } = config;
  let gateway: string | undefined;
  const rest = { key: 'server.port', address: server.address, port: server.port };
  yield await examine(`port ${String(rest.port)}`, 'Choose another server.port.', signal, async (limit) => {
    const error = await listenError(rest.address, rest.port);
    if (error === 'EADDRINUSE') gateway = await gatewayAt(server, limit);
    return portOutcome({ ...rest, error, gateway, self: instance.id });
  });
  const { address, port } = config.kubesvc.grpc.server;
  const agents = { key: 'kubesvc.grpc.server.port', address, port };
  yield await examine(`port ${String(port)}`, 'Choose another kubesvc.grpc.server.port.', signal, async () =>
    portOutcome({ ...agents, error: await listenError(address, port), gateway, self: instance.id }),
  );
}

export interface PortState {
  readonly key: string;
  readonly address: string;
  readonly port: number;
  /** Why listening failed: the code of the error; absent when it did not. */
  readonly error?: string | undefined;
  /** The instance that answers on the port of REST. */
  readonly gateway?: string | undefined;
  readonly self: string;
}

export function portOutcome({ key, address, port, error, gateway, self }: PortState): CheckOutcome {
  const place = `${address}:${String(port)}`;
  switch (error) {
    case undefined:
      return ok(`${place} is free`);
    case 'EADDRINUSE':
      if (gateway === self) return ok(`${place} is in use while this gateway (${gateway}) runs`);
      if (gateway !== undefined) {
        return warning(`${place} is in use while another gateway (${gateway}) runs here`, `Choose another ${key}.`);
      }
      return failed(`${place} is in use by something else`, `Stop what listens there, or choose another ${key}.`);
    case 'EACCES':
      return failed(`no permission to listen on ${place}`, `Ports below 1024 need a privilege; choose another ${key}.`);
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return failed(`${address} is not an address of this machine`, `Correct ${key.replace(/port$/, 'address')}.`);
    default:
      return failed(`cannot listen on ${place} (${error})`, `Choose another ${key}.`);
  }
}

/** Listens for a moment. @returns the code of the failure, undefined when there was none */
export async function listenError(address: string, port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    server.listen({ port, exclusive: true, ...(address === '*' ? {} : { host: address }) });
    await once(server, 'listening');
    return undefined;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : messageOf(error);
  } finally {
    server.close();
  }
}

/** The id of the gateway whose REST API answers there, if one does: `/readyz` says it. */
async function gatewayAt({ address, port, ssl }: Config['server'], signal: AbortSignal): Promise<string | undefined> {
  const host = address === '*' || address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address;
  const authority = `${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
  // Who answers is asked for its name and trusted with nothing.
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false, timeout: 2_000 } });
  const options = { dispatcher, signal, headersTimeout: 2_000, bodyTimeout: 2_000 };
  try {
    const { body } = await request(`${ssl.enabled ? 'https' : 'http'}://${authority}/readyz`, options);
    const answer: unknown = await body.json();
    return typeof answer === 'object' && answer !== null && 'id' in answer ? String(answer.id) : undefined;
  } catch {
    return undefined;
  } finally {
    await dispatcher.destroy();
  }
}
