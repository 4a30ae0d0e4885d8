/** Phase 4: makes the services of both ports, and opens the ports. */

import { repeat } from '../../core/repeat.js';
import { CacheStore } from '../../store/cache/cache.js';
import { CachingIngest } from '../caching/ingest.js';
import { KindFilter } from '../caching/kinds.js';
import type { GrpcServer } from '../grpc/server.js';
import type { KubernetesApiHandler } from '../kubernetes-api/handler.js';
import { createAgentsPort, createRestPort } from '../listeners/configured-ports.js';
import type { Port } from '../listeners/port.js';
import type { TlsMaterial } from '../tls/material.js';
import type { TicketKeysOptions } from '../tls/ticket-keys.js';
import { renewTls, type TlsRenewal } from '../tls/renewal.js';
import { createAgentServices } from './agent-services.js';
import type { Domain } from './assemble.js';
import type { Dependencies } from './connect.js';
import { shuttingDown } from './drain.js';
import { createKubernetesApi } from './kubernetes-api.js';
import { createRestApi } from './rest-api.js';
import type { StartContext } from './start-context.js';

const ticketCheckMs = 5_000;

export interface OpenPorts {
  readonly agents: GrpcServer;
  readonly agentsPort: Port;
  readonly restPort: Port;
  /** Absent: it is switched off. */
  readonly kubernetesApi: KubernetesApiHandler | undefined;
  /** Those that the system chose, where the configuration says 0. */
  readonly numbers: { readonly agentsPort: number; readonly restPort: number };
}

/** @throws GatewayError `configuration` naming the setting of a port that cannot be opened */
export async function openPorts(context: StartContext, dependencies: Dependencies, domain: Domain): Promise<OpenPorts> {
  const { config, logger, lifetime } = context;
  const { metrics, tls } = dependencies;
  const ticketKeys = ticketKeysOf(context, dependencies);
  const caching = createCachingIngest(context, dependencies);
  const kubernetesApi = createKubernetesApi(context, dependencies, domain);
  const rest = await createRestApi(context, dependencies, domain, caching, kubernetesApi);
  const agents = createAgentServices(context, dependencies, domain, caching);
  const agentsPort = createAgentsPort({ config, tls: tls.agents, ticketKeys, logger, metrics }, agents.take);
  const restPort = createRestPort({ config, tls: tls.rest, ticketKeys, logger, metrics }, rest);
  lifetime.push('agents port', () => {
    agentsPort.close();
  });
  const agentsAddress = await agentsPort.listen();
  lifetime.push('rest port', () => {
    restPort.close();
  });
  const restAddress = await restPort.listen();
  if (ticketKeys !== undefined && (tls.agents ?? tls.rest) !== undefined)
    lifetime.background('TLS tickets', (at) => renewTickets([agentsPort, restPort], at));
  followCertificates(context, dependencies, domain, { agentsPort, restPort });
  const numbers = { agentsPort: agentsAddress.port, restPort: restAddress.port };
  return { agents, agentsPort, restPort, kubernetesApi, numbers };
}

/**
 * Made with the ports, not with the domain, so that it stops before the lease ends: once the lease is over, agents of other
 * replicas may cache the same accounts.
 */
function createCachingIngest(
  { config, logger, lifetime }: StartContext,
  { database, metrics }: Dependencies,
): CachingIngest {
  const kinds = new KindFilter(config.kubesvc.cache);
  const caching = new CachingIngest({ cache: new CacheStore(database), kinds, logger, metrics });
  lifetime.push('caching', () => caching.stop(shuttingDown(config.instance.id)));
  return caching;
}

/** From a secret that the instances share already; undefined if there is none. */
function ticketKeysOf({ now }: StartContext, { security, accountTokens }: Dependencies): TicketKeysOptions | undefined {
  const secrets = security.instanceSecrets ?? accountTokens?.secrets;
  if (secrets === undefined) return undefined;
  // A file of secrets has one at least.
  return { secret: () => secrets()[0] ?? Buffer.alloc(0), now };
}

/** They change with the time, and with the secret. */
function renewTickets(ports: readonly Port[], signal: AbortSignal): Promise<void> {
  return repeat({ pauseMs: () => ticketCheckMs, failed: () => undefined }, signal, () => {
    for (const port of ports) port.renewTickets();
    return Promise.resolve();
  });
}

/** New connections use what the files of certificates say now; so do those to other replicas. */
function followCertificates(
  { config, logger, lifetime }: StartContext,
  { metrics, tls, tlsToPeers }: Dependencies,
  { forwarder }: Domain,
  { agentsPort, restPort }: Pick<OpenPorts, 'agentsPort' | 'restPort'>,
): void {
  const follow = (renewal: Pick<TlsRenewal, 'name' | 'port' | 'config' | 'section'>, material?: TlsMaterial): void => {
    if (material === undefined) return;
    lifetime.background(`TLS of ${renewal.name}`, (at) => renewTls({ ...renewal, material, logger, metrics }, at));
  };
  const { security } = config.kubesvc.grpc.server;
  const agents = { name: 'agents', port: agentsPort, config: security, section: 'kubesvc.grpc.server.security' };
  follow(agents, tls.agents);
  const restAndPeers = {
    renew: (material: TlsMaterial): void => {
      restPort.renew(material);
      tlsToPeers.renew(material);
      forwarder.renew();
    },
  };
  follow({ name: 'rest', port: restAndPeers, config: config.server.ssl, section: 'server.ssl' }, tls.rest);
}
