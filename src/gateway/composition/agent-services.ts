/** Of phase 4: the gRPC services of agents, and who may use them. */

import { RegistrationLimits } from '../agents/registration-limits.js';
import { agentPrincipal } from '../auth/agent-principal.js';
import type { CachingIngest } from '../caching/ingest.js';
import type { AdmissionOptions } from '../grpc/admission.js';
import { createCachingService } from '../grpc/caching-service.js';
import { createKubernetesApiService } from '../grpc/kubernetes-api-service.js';
import { createOperationsService } from '../grpc/operations-service.js';
import { createGrpcServer, type GrpcServer } from '../grpc/server.js';
import type { Domain } from './assemble.js';
import type { Dependencies } from './connect.js';
import { steadyTime, type StartContext } from './start-context.js';

export function createAgentServices(
  context: StartContext,
  dependencies: Dependencies,
  {
    registry,
    registrations,
    presence,
    switches,
    results,
    agentTunnels,
  }: Pick<Domain, 'registry' | 'registrations' | 'presence' | 'switches' | 'results' | 'agentTunnels'>,
  caching: CachingIngest,
): GrpcServer {
  const { config, logger, lifetime } = context;
  const { kubesvc, sql } = config;
  const grpc = kubesvc.grpc.server;
  const { metrics } = dependencies;
  const admission = admitAgents(context, dependencies, () => {
    registry.reauthorize();
    agentTunnels.reauthorize();
  });
  const agents = createGrpcServer({
    operations: createOperationsService({
      registry,
      registrations,
      presence,
      caching: switches,
      results,
      admission,
      registrationLimits: new RegistrationLimits(grpc, steadyTime),
      limits: { maxInFlight: kubesvc.operations.maxPendingPerAgent, queueLimit: kubesvc.operations.agentQueueLimit },
      maxMessageBytes: grpc.maxInboundMessageSize,
      handshakeTimeoutMs: grpc.handshakeTimeoutMs,
      registrationTimeoutMs: sql.queryTimeoutMs * 3,
      logger,
      metrics,
      now: steadyTime,
    }),
    caching: createCachingService(caching, grpc.handshakeTimeoutMs, admission),
    kubernetesApi: createKubernetesApiService({
      registry,
      tunnels: agentTunnels,
      admission,
      handshakeTimeoutMs: grpc.handshakeTimeoutMs,
    }),
    health: grpc.healthServiceEnabled,
    reflection: grpc.reflectionServiceEnabled,
    maxMessageBytes: grpc.maxInboundMessageSize,
    keepAliveTimeMs: grpc.keepAliveTimeMs,
    keepAliveTimeoutMs: grpc.keepAliveTimeoutMs,
    // Past the age at which agents are asked to dial again: only those that do not are cut off.
    maxConnectionAgeMs: grpc.maxConnectionAgeSeconds * 1_500,
    maxConnectionAgeGraceMs: grpc.maxConnectionAgeGraceSeconds * 1_000,
  });
  lifetime.push('grpc', () => {
    agents.stop();
  });
  return agents;
}

/** @param changed called when the files say something else of who may come in */
function admitAgents(
  { config, logger, lifetime }: StartContext,
  { metrics, security }: Dependencies,
  changed: () => void,
): AdmissionOptions {
  const { agents } = security;
  agents?.onChange(changed);
  lifetime.background('files of identities', (at) => security.run(logger, at));
  return {
    admit: agents && (async (shown, at) => agentPrincipal(await agents.admit(shown, at), agents)),
    timeoutMs: config.kubesvc.grpc.server.handshakeTimeoutMs,
    logger,
    metrics,
  };
}
