/** Of phase 4: the REST API and the console, with all that they ask. */

import type { CachingIngest } from '../caching/ingest.js';
import type { KubernetesApiHandler } from '../kubernetes-api/handler.js';
import { createRestServer, type RestServer } from '../rest/server.js';
import { collectGauges } from './collect.js';
import type { Domain } from './assemble.js';
import { createClusterCalls } from './cluster-calls.js';
import type { Dependencies } from './connect.js';
import { authorizationOf } from './security.js';
import type { StartContext } from './start-context.js';

export async function createRestApi(
  { config, version, logger, now, lifetime }: StartContext,
  dependencies: Dependencies,
  domain: Domain,
  caching: CachingIngest,
  kubernetesApi: KubernetesApiHandler | undefined,
): Promise<RestServer> {
  const { server, kubesvc } = config;
  const { stores, database, redis, map, mirror, discovery, metrics, tracing, security, tlsToPeers } = dependencies;
  const { assignments, operations, principals, presence, instances } = stores;
  const {
    registry,
    acceptance,
    results,
    rivals,
    forwarder,
    recorder,
    refusals,
    lease,
    readiness,
    dynamicAccounts,
    agentTunnels,
    configServer,
  } = domain;
  const calls = createClusterCalls({
    ...stores,
    ...domain,
    presence: stores.presence,
    config,
    version,
    discovery,
    dynamicAccounts: dynamicAccounts.routes,
    metrics,
    logger,
    stopping: lifetime.stopping,
    now,
  });
  const rest = await createRestServer({
    ...calls,
    instanceId: config.instance.id,
    version,
    logger,
    maxBodyBytes: server.maxBodySize,
    maxHeaderBytes: server.maxHeaderSize,
    requestTimeoutMs: server.requestTimeoutMs,
    idleTimeoutMs: server.idleTimeoutMs,
    requestRate: { maxRequestsPerSecond: server.maxRequestsPerSecond, redis, redisPrefix: config.redis.keyPrefix },
    authorization: {
      ...authorizationOf(config, security),
      timeoutMs: kubesvc.grpc.server.handshakeTimeoutMs,
      logger,
      metrics,
    },
    kubernetesApi,
    acceptance,
    refusals,
    registry,
    results,
    operations,
    assignments,
    presence,
    instances,
    leaseMs: kubesvc.instances.leaseMs,
    rivals,
    principals,
    tokenRevocations: dependencies.accountTokens?.revocations,
    dynamicAccounts: dynamicAccounts.routes,
    clouddriverAccounts: config.spinnaker.clouddriver.url === undefined ? undefined : stores.clouddriverAccounts,
    ...(kubesvc.kubernetesApi.enabled
      ? {
          kubeconfigs: {
            accounts: dynamicAccounts.routes.accounts,
            publicUrl: kubesvc.kubernetesApi.publicUrl,
            certificateAuthority: () => tlsToPeers.certificateAuthority,
          },
        }
      : {}),
    ...(configServer === undefined ? {} : { springConfig: configServer.springConfig }),
    database,
    discovery,
    readiness,
    metrics,
    tracing,
    collect: () => {
      const observed = {
        registry,
        acceptance,
        map,
        mirror,
        discovery,
        database,
        caching,
        recorder,
        forwarder,
        agentTunnels,
        lease,
      };
      collectGauges(metrics, { ...observed, readiness, redis, reader: calls.reader });
    },
  });
  lifetime.push('rest', () => rest.close());
  return rest;
}
