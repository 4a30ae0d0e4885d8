/** Of phase 4: the Kubernetes API of every account, on the port of the REST API. */

import { CallingReplica } from '../kubernetes-api/calling-replica.js';
import { KubernetesApiAuthorization } from '../kubernetes-api/authorization.js';
import { KubernetesApiHandler } from '../kubernetes-api/handler.js';
import { ApiRequestRecords } from '../kubernetes-api/records.js';
import { ApiRouting } from '../kubernetes-api/routing.js';
import { traced } from '../kubernetes-api/traced-exchange.js';
import type { Session } from '../agents/session.js';
import type { PeerAddress } from '../peers/peer-address.js';
import type { Domain } from './assemble.js';
import type { Dependencies } from './connect.js';
import { authorizationOf } from './security.js';
import type { StartContext } from './start-context.js';

/** @returns undefined if it is switched off */
export function createKubernetesApi(
  { config, logger, now, lifetime }: StartContext,
  { discovery, metrics, tracing, security, accountTokens }: Dependencies,
  domain: Pick<Domain, 'ownership' | 'registry' | 'forwarder' | 'agentTunnels' | 'recorder' | 'refusals'>,
): KubernetesApiHandler | undefined {
  const { enabled, maxRequests, holdMs } = config.kubesvc.kubernetesApi;
  if (!enabled) return undefined;
  const { ownership, registry, forwarder, agentTunnels, recorder, refusals } = domain;
  const instanceId = config.instance.id;
  const { callers, anonymousRole, instanceTokens, instanceFilters } = authorizationOf(config, security);
  const routing = new ApiRouting({
    instanceId,
    ownership,
    registry,
    discovery,
    toAgent: traced(tracing, agentTunnels.open.bind(agentTunnels), ({ agent }: Session) => ({
      name: 'agent',
      agentId: agent.agentId,
    })),
    toPeer: traced(tracing, forwarder.apiRequest.bind(forwarder), ({ id }: PeerAddress) => ({
      name: 'forward',
      peer: id,
    })),
    holdMs,
    forgetMs: config.kubesvc.cache.accountCleanupFrequencySeconds * 1_000,
    stopping: lifetime.stopping,
  });
  const timeoutMs = config.kubesvc.grpc.server.handshakeTimeoutMs;
  const handler = new KubernetesApiHandler({
    routing,
    authorization: new KubernetesApiAuthorization({
      callers,
      accountTokens: accountTokens && { tokens: accountTokens.tokens, access: config.spinnaker.tokens.access },
      anonymousRole,
      timeoutMs,
      now,
      logger,
      metrics,
    }),
    callingReplica: new CallingReplica({
      tokens: instanceTokens,
      filters: instanceFilters,
      callersProve: callers !== undefined,
      everybodyIsAdmin: callers === undefined && anonymousRole === 'admin',
    }),
    records: new ApiRequestRecords({ instanceId, recorder }),
    refusals,
    metrics: metrics.apiRequests,
    tracing,
    maxRequests,
    stopping: lifetime.stopping,
    now,
  });
  lifetime.push('Kubernetes API', () => {
    handler.stop();
  });
  return handler;
}
