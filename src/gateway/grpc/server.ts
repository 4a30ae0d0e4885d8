/**
 * The grpc-js server of the agents' port: services, health, reflection and the limits of the transport.
 * It listens on nothing itself: listeners/port.ts hands it the sockets that speak HTTP/2.
 */

import type { Socket } from 'node:net';
import { Server, ServerCredentials, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { cachingDefinition } from './caching-service.js';
import { describedFiles } from './descriptors.js';
import { kubernetesApiDefinition } from './kubernetes-api-service.js';
import { operationsDefinition } from './operations-service.js';
import { widenReceiveWindows } from './receive-windows.js';

export interface GrpcServerOptions {
  readonly operations: UntypedServiceImplementation;
  readonly caching: UntypedServiceImplementation;
  readonly kubernetesApi: UntypedServiceImplementation;
  readonly health: boolean;
  readonly reflection: boolean;
  readonly maxMessageBytes: number;
  readonly keepAliveTimeMs: number;
  readonly keepAliveTimeoutMs: number;
  /** A connection older than this is ended even if its agent did not follow Reconnect, in ms; 0: never. */
  readonly maxConnectionAgeMs: number;
  readonly maxConnectionAgeGraceMs: number;
}

export interface GrpcServer {
  /** Takes over a socket that speaks cleartext HTTP/2: `gateway/listeners/port.ts` terminates TLS, for both ports alike. */
  readonly take: (socket: Socket) => void;
  /** Ends every connection. */
  stop(): void;
  /** The status that grpc.health.v1.Health reports for every service. */
  setServing(serving: boolean): void;
}

/**
 * grpc-js ends a whole stream on a message over its limit. Messages between the configured limit and this many times
 * it are refused one by one (results.ts), so that the stream's other work goes on; larger ones are not worth the
 * memory.
 */
const hardLimitFactor = 4;

/** Calls on one connection: an agent needs four, a proxy in between may carry many. */
const maxConcurrentStreams = 1_000;

/** The services that reflection lists: `grpcurl` and the like find the protocol without a copy of proto/. */
const services = [
  'events.Caching',
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
  'kubernetes.Api',
  'ops.Operations',
];

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { maxConnectionAgeMs } = options;
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessageBytes * hardLimitFactor,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': maxConcurrentStreams,
    'grpc.keepalive_time_ms': options.keepAliveTimeMs,
    'grpc.keepalive_timeout_ms': options.keepAliveTimeoutMs,
    ...(maxConnectionAgeMs === 0
      ? {}
      : {
          'grpc.max_connection_age_ms': maxConnectionAgeMs,
          'grpc.max_connection_age_grace_ms': options.maxConnectionAgeGraceMs,
        }),
  });
  server.addService(operationsDefinition, options.operations);
  server.addService(cachingDefinition, options.caching);
  server.addService(kubernetesApiDefinition, options.kubernetesApi);
  const health = new HealthImplementation({ '': 'NOT_SERVING' });
  if (options.health) health.addToServer(server);
  if (options.reflection) new ReflectionService(describedFiles(), { services }).addToServer(server);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  widenReceiveWindows(server);
  return {
    take: (socket) => {
      injector.injectConnection(socket);
    },
    stop: () => {
      injector.destroy();
      server.forceShutdown();
    },
    setServing: (serving) => {
      for (const service of ['', 'ops.Operations', 'events.Caching', 'kubernetes.Api'])
        health.setStatus(service, serving ? 'SERVING' : 'NOT_SERVING');
    },
  };
}
