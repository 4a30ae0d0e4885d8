/** Of phase 4: the Kubernetes API of every account, on the port of the REST API. */

import { CallingReplica } from '../kubernetes-api/calling-replica.js';
import { KubernetesApiAuthorization } from '../kubernetes-api/authorization.js';
import { KubernetesApiHandler } from '../kubernetes-api/handler.js';
import { ApiRequestRecords } from '../kubernetes-api/records.js';
import { ApiRouting } from '../kubernetes-api/routing.js';
import type { Domain } from './assemble.js';
import type { Dependencies } from './connect.js';
import { authorizationOf } from './security.js';
import type { StartContext } from './start-context.js';

/** @returns undefined if it is switched off */
export function createKubernetesApi(
  { config, logger, now, lifetime }: StartContext,
  { discovery, metrics, security }: Dependencies,
  domain: Pick<Domain, 'ownership' | 'registry' | 'forwarder' | 'agentTunnels' | 'recorder'>,
): KubernetesApiHandler | undefined {
  const { enabled, maxRequests, holdMs } = config.kubesvc.kubernetesApi;
  if (!enabled) return undefined;
  const { ownership, registry, forwarder, agentTunnels, recorder } = domain;
  const instanceId = config.instance.id;
  const { callers, anonymousRole, instanceTokens, instanceFilters } = authorizationOf(config, security);
  const routing = new ApiRouting({
    instanceId,
    ownership,
    registry,
    discovery,
    toAgent: (session, request, first, events) => agentTunnels.open(session, request, first, events),
    toPeer: (peer, request, first, events) => forwarder.apiRequest(peer, request, first, events),
    holdMs,
    stopping: lifetime.stopping,
  });
  const timeoutMs = config.kubesvc.grpc.server.handshakeTimeoutMs;
  const handler = new KubernetesApiHandler({
    routing,
    authorization: new KubernetesApiAuthorization({ callers, anonymousRole, timeoutMs, logger, metrics }),
    callingReplica: new CallingReplica({
      tokens: instanceTokens,
      filters: instanceFilters,
      callersProve: callers !== undefined,
      everybodyIsAdmin: callers === undefined && anonymousRole === 'admin',
    }),
    records: new ApiRequestRecords({ instanceId, recorder }),
    metrics: metrics.apiRequests,
    maxRequests,
    stopping: lifetime.stopping,
    now,
  });
  lifetime.push('Kubernetes API', () => {
    handler.stop();
  });
  return handler;
}
