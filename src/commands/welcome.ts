/** The welcome text for a replica started in a terminal: its addresses, and the next steps. */

import type { Config } from '../gateway/config/config.js';
import type { Addresses } from '../gateway/gateway.js';

/** The `sql.url` of a first run. */
export const inMemory = 'pglite:memory';

export const inMemoryNotice =
  'the database is in memory: operations and accounts are lost when this process ends; --sql.url=pglite:DIR keeps them';

/** @param file of the program, as a URL; default: this one */
export function welcome(
  { kubesvc, server, sql }: Config,
  { agentsPort, restPort }: Addresses,
  file = import.meta.url,
): string {
  const rest = `${server.ssl.enabled ? 'https' : 'http'}://${reachable(server.address)}:${String(restPort)}`;
  const agents = `${reachable(kubesvc.grpc.server.address)}:${String(agentsPort)}`;
  const database =
    sql.url === inMemory
      ? `
The database is in memory: operations and accounts are lost when this process ends.
To keep them:  --sql.url=pglite:DIR  (a directory such as ./data, for one gateway at a time)
`
      : '';
  return `
Agent Gateway is ready (${kubesvc.cluster}).
  agents dial  ${agents}  (gRPC)
  console      ${rest}/console
  REST         ${rest}/docs  (to read and try; ${rest}/openapi.json)
${database}
Next, in a second terminal:
  ${commandName(file)} simulate --agents 3 --accounts 2
Ctrl-C drains and stops; a second one stops at once.

`;
}

/** How the program is called in another terminal: run by npx, installed, or in a checkout, where npx finds its command. */
function commandName(file: string): string {
  if (file.includes('/_npx/')) return 'npx @agent-gateway/gateway';
  return file.includes('/node_modules/') ? 'agent-gateway' : 'npx agent-gateway';
}

/** The host under which this machine reaches a listening address. */
function reachable(address: string): string {
  const host = ['*', '0.0.0.0', '::'].includes(address) ? '127.0.0.1' : address;
  return host.includes(':') ? `[${host}]` : host;
}
