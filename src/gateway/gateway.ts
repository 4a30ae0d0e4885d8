/**
 * COMPOSITION ROOT. Everything that a replica consists of is made here, handed its parts, and started and stopped in
 * order. Longer than most files because the whole object graph is meant to be read in one place.
 *
 * Start: database and migrations → lease → mirror (may degrade) → discovery → registry, router, recovery → listeners
 * → serving. Each step pushes its release on one scope; a failing step unwinds what was started.
 */

import { ServerCredentials } from '@grpc/grpc-js';
import type { Logger as PinoLogger } from 'pino';
import { GatewayError, messageOf, toGatewayError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { wait } from '../core/retry.js';
import { Scope } from '../core/scope.js';
import type { Discovery } from '../discovery/discovery.js';
import { AssignmentStore } from '../store/assignments.js';
import { InstanceStore } from '../store/instances.js';
import { LockStore } from '../store/locks.js';
import { migrate } from '../store/migrate.js';
import { OwnershipMap } from '../store/mirror/ownership-map.js';
import { RedisMirror } from '../store/mirror/redis-mirror.js';
import { OperationStore } from '../store/operations.js';
import { drainAgents } from './agents/drain.js';
import { Lease } from './agents/lease.js';
import { Liveness } from './agents/liveness.js';
import { OwnershipService } from './agents/ownership.js';
import { Reaper } from './agents/reaper.js';
import { Registry } from './agents/registry.js';
import type { Config } from './config.js';
import { createDiscovery, createRedis, openConfiguredDatabase } from './dependencies.js';
import { createCachingService } from './grpc/caching-service.js';
import { createFrames, receiptFrame, recordedResult, tooLargeResult } from './grpc/frames.js';
import { createOperationsService } from './grpc/operations-service.js';
import { createGrpcServer } from './grpc/server.js';
import { Port } from './listeners.js';
import { Forwarder } from './operations/forwarder.js';
import { Recorder } from './operations/recorder.js';
import { Recovery } from './operations/recovery.js';
import { Results } from './operations/results.js';
import { Router } from './operations/router.js';
import { createRestServer } from './rest/server.js';
import { createMetrics } from './telemetry/metrics.js';
import { Readiness } from './telemetry/readiness.js';
import { readTls } from './tls.js';

export interface GatewayOptions {
  readonly config: Config;
  readonly version: string;
  readonly logger: PinoLogger;
  /** In place of what the configuration names, for tests. */
  readonly overrides?: { readonly discovery?: Discovery; readonly now?: () => number };
}

export interface Addresses {
  readonly agentsPort: number;
  readonly restPort: number;
}

export interface Gateway {
  /** @throws GatewayError naming the setting; what was started is released */
  start(signal: AbortSignal): Promise<Addresses>;
  /** Drains and releases, within kubesvc.drain.timeoutMs; calling it again gives the same promise. */
  stop(): Promise<void>;
  /** Rejects when a background loop dies, so that a half-dead replica does not stay ready; never resolves before stop(). */
  readonly done: Promise<void>;
}

/** A late result is still taken this long after its operation's time, in ms. */
const lateResultMs = 60_000;
const pingPeriodMs = 3_000;
const recoveryCheckMs = 2_000;
const pollMs = 50;

export function createGateway({ config, version, logger: pino, overrides = {} }: GatewayOptions): Gateway {
  const { kubesvc, instance, server } = config;
  const { now = Date.now } = overrides;
  const grpc = kubesvc.grpc.server;
  const logger: Logger = pino;
  const scope = new Scope();
  const loops = new AbortController();
  let ended!: () => void;
  let died!: (error: unknown) => void;
  const done = new Promise<void>((resolve, reject) => {
    ended = resolve;
    died = reject;
  });
  done.catch(() => undefined);
  let drain: ((signal: AbortSignal) => Promise<void>) | undefined;
  let started: Promise<Addresses> | undefined;
  let stopped: Promise<void> | undefined;

  /** Runs a loop until the gateway stops; one that ends before is the end of the gateway. */
  function background(name: string, run: (signal: AbortSignal) => Promise<void>): void {
    const running = run(loops.signal).catch((error: unknown) => {
      logger.error({ loop: name, error: messageOf(error) }, 'background loop died');
      died(new GatewayError('internal', `background loop ${name} died: ${messageOf(error)}`, { cause: error }));
    });
    scope.push(name, async () => {
      loops.abort();
      await running;
    });
  }

  async function start(signal: AbortSignal): Promise<Addresses> {
    const metrics = createMetrics(instance.id, version);
    metrics.collectProcess();
    scope.push('metrics', () => {
      metrics.registry.clear();
    });
    const [agentsTls, restTls] = await Promise.all([
      readTls(grpc.security, 'kubesvc.grpc.server.security'),
      readTls(server.ssl, 'server.ssl'),
    ]);

    const database = openConfiguredDatabase(config);
    scope.push('database', () => database.close());
    await migrate(database, { logger, signal });
    const assignments = new AssignmentStore(database, { leaseMs: kubesvc.instances.leaseMs });
    const instances = new InstanceStore(database);
    const locks = new LockStore(database);
    const operations = new OperationStore(database);

    const redis = createRedis(config);
    if (redis !== undefined) {
      scope.push('redis', () => {
        redis.disconnect();
      });
    }
    const map = new OwnershipMap();
    const mirror =
      redis === undefined
        ? undefined
        : new RedisMirror({ redis, map, truth: assignments, logger, settings: { prefix: config.redis.keyPrefix } });
    const ownership = new OwnershipService({ assignments, map, mirror, logger });
    if (mirror !== undefined) {
      scope.push('mirror', () => mirror.stop());
      await mirror.start();
    }

    const discovery = overrides.discovery ?? (await createDiscovery(config, redis, logger));
    scope.push('discovery', () => discovery.stop());
    await discovery.start(signal);

    const frames = createFrames(instance.id, grpc.maxInboundMessageSize);
    const registry = new Registry({
      instanceId: instance.id,
      ownership,
      nextEpoch: (at) => assignments.nextEpoch(1, at),
      frames,
      logger,
      metrics,
      maxAccountsPerAgent: grpc.maxAccountsPerAgent,
      lateResultMs,
      now,
    });
    const lease = new Lease({
      instances,
      self: { id: instance.id, baseUrl: instance.baseUrl, version },
      heartbeatMs: kubesvc.instances.heartbeatMs,
      leaseMs: kubesvc.instances.leaseMs,
      onRenewedLate: (at) => registry.reclaim(at),
      logger,
    });
    await lease.start(signal);
    scope.push('lease', () => lease.end(AbortSignal.timeout(config.sql.queryTimeoutMs)));
    background('lease', (at) => lease.run(at));
    background('reaper', (at) =>
      new Reaper({
        instanceId: instance.id,
        instances,
        locks,
        ownership,
        leaseMs: kubesvc.instances.leaseMs,
        logger,
      }).run(at),
    );

    const recorder = new Recorder({ operations, logger, metrics });
    scope.push('recorder', () => recorder.idle());
    const forwarder = new Forwarder({
      instanceId: instance.id,
      connections: kubesvc.operations.peerConnections,
      timeoutMs: kubesvc.operations.forwardTimeoutMs,
    });
    scope.push('forwarder', () => forwarder.stop());
    scope.push(
      'forwarder to gone instances',
      discovery.onChange(({ removed }) => {
        for (const id of removed) void forwarder.forget(id);
      }),
    );
    const router = new Router({
      instanceId: instance.id,
      ownership,
      registry,
      discovery,
      forwarder,
      recorder,
      operations,
      recordedResult,
      logger,
      metrics,
      maxPending: kubesvc.operations.maxPending,
      defaultTimeoutMs: kubesvc.cache.operationWaitMs,
      maxTimeoutMs: kubesvc.operations.maxTimeoutMs,
      routingAttempts: kubesvc.operations.routingAttempts,
      maxMessageBytes: grpc.maxInboundMessageSize,
      now,
    });
    scope.push('router', () => {
      router.stop();
    });
    const results = new Results({
      instanceId: instance.id,
      router,
      forwarder,
      discovery,
      recorder,
      operations,
      logger,
      metrics,
      maxMessageBytes: grpc.maxInboundMessageSize,
      receipt: receiptFrame,
      tooLarge: tooLargeResult,
      now,
    });
    const recovery = new Recovery({ router, ownership, logger, metrics, checkMs: recoveryCheckMs, now });
    recovery.start();
    scope.push('recovery', () => {
      recovery.stop();
    });
    background('recovery', (at) => recovery.run(at));
    const stopping = () =>
      new GatewayError('draining', `instance ${instance.id} is shutting down; dial or ask another one`, {
        instanceId: instance.id,
        retryAfterMs: 1_000,
      });
    registry.start();
    scope.push('registry', () => registry.stop(stopping()));
    const maxConnectionAgeMs = grpc.maxConnectionAgeSeconds * 1_000;
    background('liveness', (at) => new Liveness({ registry, frames, pingPeriodMs, maxConnectionAgeMs, now }).run(at));

    const readiness = new Readiness([
      {
        name: 'sql',
        required: true,
        check: () =>
          lease.held
            ? { ok: true }
            : { ok: false, detail: 'the database has not taken a heartbeat within the lease (sql.url)' },
      },
      {
        name: 'redis',
        required: false,
        check: () =>
          mirror === undefined
            ? { ok: true, detail: 'not configured' }
            : {
                ok: mirror.state.name === 'live',
                ...(mirror.state.reason === undefined ? {} : { detail: mirror.state.reason }),
              },
      },
      {
        name: 'discovery',
        required: false,
        check: () => {
          const { status, error } = discovery.state();
          return { ok: status === 'known', ...(error === undefined ? {} : { detail: error }) };
        },
      },
    ]);
    const rest = await createRestServer({
      instanceId: instance.id,
      version,
      logger: pino,
      maxBodyBytes: server.maxBodySize,
      maxHeaderBytes: server.maxHeaderSize,
      router,
      registry,
      results,
      operations,
      assignments,
      discovery,
      readiness,
      metrics,
      collect: () => {
        metrics.accounts.set(registry.accountCount);
        metrics.mirrorSize.set(map.size);
        metrics.mirrorLive.set(mirror === undefined || mirror.state.name === 'live' ? 1 : 0);
        const { gaps, reloads } = mirror?.statistics() ?? { gaps: 0, reloads: 0 };
        metrics.mirrorGaps.set(gaps);
        metrics.mirrorReloads.set(reloads);
        const ready = discovery.instances().filter((member) => member.ready).length;
        metrics.instances.set({ ready: 'true' }, ready);
        metrics.instances.set({ ready: 'false' }, discovery.instances().length - ready);
        const { idle, size, waiting } = database.pool();
        metrics.sqlConnections.set({ state: 'idle' }, idle);
        metrics.sqlConnections.set({ state: 'busy' }, size - idle);
        metrics.sqlConnections.set({ state: 'waiting' }, waiting);
      },
    });
    scope.push('rest', () => rest.close());
    const agents = createGrpcServer({
      operations: createOperationsService({
        registry,
        results,
        limits: { maxInFlight: kubesvc.operations.maxPendingPerAgent, queueLimit: kubesvc.operations.agentQueueLimit },
        maxMessageBytes: grpc.maxInboundMessageSize,
        handshakeTimeoutMs: grpc.handshakeTimeoutMs,
        registrationTimeoutMs: config.sql.queryTimeoutMs * 3,
        logger,
        metrics,
        now,
      }),
      caching: createCachingService(),
      health: grpc.healthServiceEnabled,
      reflection: grpc.reflectionServiceEnabled,
      maxMessageBytes: grpc.maxInboundMessageSize,
      keepAliveTimeMs: grpc.keepAliveTimeMs,
      keepAliveTimeoutMs: grpc.keepAliveTimeoutMs,
      maxConnectionAgeMs: maxConnectionAgeMs * 1.5,
      maxConnectionAgeGraceMs: grpc.maxConnectionAgeGraceSeconds * 1_000,
    });
    // TLS is ended by the port (listeners.ts), so that both ports do it alike; here everything is cleartext HTTP/2.
    const injector = agents.server.createConnectionInjector(ServerCredentials.createInsecure());
    scope.push('grpc', () => {
      injector.destroy();
      agents.server.forceShutdown();
    });
    const agentsPort = new Port({
      name: 'agents',
      address: grpc.address,
      port: grpc.port,
      setting: 'kubesvc.grpc.server.port',
      protocols: {
        http2: (socket) => {
          injector.injectConnection(socket);
        },
      },
      tls: agentsTls,
      refusal: (protocol) =>
        protocol === 'tls'
          ? `This port speaks cleartext HTTP/2 (gRPC) only: TLS is off (kubesvc.grpc.server.security.enabled).`
          : protocol === 'http2'
            ? 'This port speaks gRPC over TLS only (kubesvc.grpc.server.security.enabled).'
            : 'This port speaks gRPC over HTTP/2 only: a proxy or load balancer in between must not change it to HTTP/1.1. The REST API is on another port.',
      firstBytesTimeoutMs: grpc.handshakeTimeoutMs,
      logger,
      metrics,
    });
    const restPort = new Port({
      name: 'rest',
      address: server.address,
      port: server.port,
      setting: 'server.port',
      protocols: { http1: rest.http1, http2: rest.http2 },
      tls: restTls,
      refusal: (protocol) =>
        protocol === 'tls'
          ? 'This port speaks HTTP in cleartext: TLS is off (server.ssl.enabled).'
          : 'This port speaks HTTP/1.1 and HTTP/2' +
            (restTls === undefined ? ' in cleartext.' : ' over TLS only (server.ssl.enabled).'),
      firstBytesTimeoutMs: grpc.handshakeTimeoutMs,
      logger,
      metrics,
    });
    scope.push('agents port', () => {
      agentsPort.close();
    });
    const agentsAddress = await agentsPort.listen();
    scope.push('rest port', () => {
      restPort.close();
    });
    const restAddress = await restPort.listen();

    drain = async (deadline) => {
      logger.info({ agents: registry.sessions.size, operations: router.pendingCount }, 'draining');
      metrics.draining.set(1);
      readiness.draining();
      discovery.setReady(false);
      agents.setServing(false);
      await until(kubesvc.drain.endpointRemovalMs, deadline);
      registry.refuse(stopping());
      agentsPort.refuse();
      const moved = drainAgents(
        { registry, frames, spreadMs: kubesvc.drain.reconnectSpreadMs, underWay: () => router.pendingCount },
        deadline,
      );
      await moved;
      router.refuse(stopping());
      restPort.refuse();
      while (!deadline.aborted && router.pendingCount > 0) await until(pollMs, deadline);
    };
    readiness.serving();
    discovery.setReady(true);
    agents.setServing(true);
    return { agentsPort: agentsAddress.port, restPort: restAddress.port };
  }

  async function stop(): Promise<void> {
    const deadline = AbortSignal.timeout(kubesvc.drain.timeoutMs);
    await started?.catch(() => undefined);
    await drain?.(deadline);
    loops.abort();
    await scope.close().finally(ended);
  }

  return {
    start: (signal) => {
      started ??= start(signal).catch(async (error: unknown) => {
        loops.abort();
        await scope.close().catch(() => undefined);
        throw toGatewayError(error);
      });
      return started;
    },
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
    done,
  };
}

async function until(ms: number, deadline: AbortSignal): Promise<void> {
  if (ms > 0) await wait(ms, deadline).catch(() => undefined);
}
