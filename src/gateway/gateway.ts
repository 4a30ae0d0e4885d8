/**
 * COMPOSITION ROOT. Everything that a replica consists of is made here, handed its parts, and started and stopped in
 * order. Longer than most files because the whole object graph is meant to be read in one place.
 *
 * Start: database and migrations → lease → mirror (may degrade) → discovery → registry, router, recovery → listeners
 * → serving. Each step pushes its release on one scope; a failing step unwinds what was started.
 */

/* eslint-disable max-lines -- one place for the whole object graph, see above */

import { setMaxListeners } from 'node:events';
import type { Logger as PinoLogger } from 'pino';
import type { Environment } from '../core/environment.js';
import { GatewayError, messageOf, toGatewayError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { ReleaseStack } from '../core/release-stack.js';
import type { Discovery } from '../discovery/discovery.js';
import { AssignmentStore } from '../store/assignments/assignments.js';
import { openDatabase } from '../store/sql/database.js';
import { InstanceStore } from '../store/instances/instances.js';
import { LockStore } from '../store/instances/locks.js';
import { migrate } from '../store/migrations/migrate.js';
import { OwnershipMap } from '../store/mirror/ownership-map.js';
import { RedisMirror } from '../store/mirror/redis-mirror.js';
import { OperationStore } from '../store/operations/operations.js';
import { OwnerStore } from '../store/accounts/owners.js';
import { agentPeer } from './auth/agent-peer.js';
import { electCachers } from './agents/caching-assignment/election.js';
import { Claims } from './agents/claims.js';
import { Lease } from './agents/lease.js';
import { cachesOnMs, livenessTimes } from './agents/liveness-times.js';
import { Liveness } from './agents/liveness.js';
import { OwnershipService } from './agents/ownership.js';
import { Reaper } from './agents/reaper.js';
import { Rebalancer } from './agents/rebalancer.js';
import { RegistrationLimits } from './agents/registration-limits.js';
import { RivalProcesses } from './agents/rival-processes.js';
import { Registry } from './agents/registry.js';
import { createClusterCalls } from './cluster-calls.js';
import type { Config } from './config.js';
import { databaseOptions } from './config/database-options.js';
import { drainGateway } from './drain.js';
import { createCachingIngest, createDiscovery, createRedis, migrateAsOther } from './dependencies.js';
import { createDynamicAccounts } from './dynamic-accounts.js';
import type { AdmissionOptions } from './grpc/admission.js';
import { createCachingService } from './grpc/caching-service.js';
import { createFrames, receipt, recordedResult, tooLargeResult } from './grpc/frames.js';
import { createOperationsService } from './grpc/operations-service.js';
import { createGrpcServer } from './grpc/server.js';
import { maintenanceJobs } from './maintenance.js';
import { Adoption } from './operations/adoption.js';
import { Forwarder } from './peers/forwarder.js';
import { Recorder } from './operations/recorder.js';
import { Recovery } from './operations/recovery.js';
import { Results } from './operations/results.js';
import { Router } from './operations/router.js';
import { Routing } from './operations/routing.js';
import { createAgentsPort, createRestPort } from './ports.js';
import { createRestServer } from './rest/server.js';
import { collectGauges } from './composition/collect.js';
import { createMetrics } from './telemetry/metrics.js';
import { createTracing } from './telemetry/tracing.js';
import { dependencyChecks, Readiness } from './telemetry/readiness.js';
import { renewTls } from './tls-renewal.js';
import { authorizationOf, openSecurity, peerTls } from './security.js';
import { readTls, type TlsMaterial } from './tls.js';

export interface GatewayOptions {
  readonly config: Config;
  readonly version: string;
  readonly logger: PinoLogger;
  /** Variables that kubeconfigs may be taken from, and that lead to Kubernetes (proxies); default: none. */
  readonly environment?: Environment;
  /** In place of what the configuration names, for tests. */
  readonly overrides?: {
    readonly discovery?: Discovery;
    /** Wall clock, Unix ms. */
    readonly now?: () => number;
  };
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
/** An operation that is overdue for this long has nobody who ends it, in ms. */
const overdueMs = 10_000;
const recoveryCheckMs = 2_000;

export function createGateway(options: GatewayOptions): Gateway {
  const { config, version, logger: pino, environment = {}, overrides = {} } = options;
  const { kubesvc, instance, server } = config;
  const { now = Date.now } = overrides;
  // Whatever measures: the wall clock may be set at any moment.
  const steadyTime = (): number => performance.now();
  const grpc = kubesvc.grpc.server;
  const logger: Logger = pino;
  const { heartbeatMs, leaseMs } = kubesvc.instances;
  const times = livenessTimes(kubesvc.instances);
  const scope = new ReleaseStack();
  const loops = new AbortController();
  setMaxListeners(0, loops.signal);
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
    const tracing = await createTracing(config, version);
    scope.push('tracing', () => tracing.stop());
    scope.push('metrics', () => {
      metrics.registry.clear();
    });
    const [agentsTls, restTls] = await Promise.all([
      readTls(grpc.security, 'kubesvc.grpc.server.security'),
      readTls(server.ssl, 'server.ssl'),
    ]);

    const security = await openSecurity(config, environment, scope, now);
    let peerMaterial = restTls;
    const tlsToPeers = () => peerTls(peerMaterial, server.auth.instances.serverName);

    const database = openDatabase(await databaseOptions(config, 'service'));
    scope.push('database', () => database.close());
    if (config.sql.migration.url === undefined && config.sql.migration.user === undefined) {
      await migrate(database, { logger, signal });
    } else await migrateAsOther(config, logger, signal);
    const assignments = new AssignmentStore(database, { leaseMs });
    const instances = new InstanceStore(database);
    const locks = new LockStore(database);
    const operations = new OperationStore(database);
    const owners = new OwnerStore(database);

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
    const discovery = overrides.discovery ?? (await createDiscovery(config, redis, tlsToPeers, logger, environment));
    scope.push('discovery', () => discovery.stop());
    await discovery.start(signal);

    const claims = new Claims({
      ownership,
      nextEpochs: (count, at) => assignments.nextEpoch(count, at),
      lease: (): Lease => lease,
      cachesOnMs: cachesOnMs(times.alone.silenceMs),
      timeoutMs: config.sql.queryTimeoutMs * 2,
      logger,
    });
    const frames = createFrames(instance.id, grpc.maxInboundMessageSize);
    const registry = new Registry({
      instanceId: instance.id,
      ownership,
      claims,
      bindZone: (zoneId, owner, at) => owners.bindZone(zoneId, owner, at),
      frames,
      times,
      lease: (): Lease => lease,
      logger,
      metrics,
      maxAccountsPerAgent: grpc.maxAccountsPerAgent,
      lateResultMs,
      now,
    });
    const rivals = new RivalProcesses({ instanceId: instance.id, logger, metrics });
    scope.push(
      'rival processes',
      ownership.onChange((...change) => {
        rivals.changed(...change);
      }),
    );
    const recorder = new Recorder({ operations, logger, metrics, stopping: loops.signal });
    scope.push('recorder', () => recorder.idle());
    const forwarder = new Forwarder({
      instanceId: instance.id,
      connections: kubesvc.operations.peerConnections,
      timeoutMs: kubesvc.operations.forwardTimeoutMs,
      tls: tlsToPeers,
      sign: security.instanceTokens && security.instanceTokens.sign.bind(security.instanceTokens),
    });
    scope.push('forwarder', () => forwarder.stop());
    scope.push(
      'forwarder to gone instances',
      discovery.onChange(({ removed }) => {
        for (const id of removed) void forwarder.forget(id);
      }),
    );
    const routing = new Routing({
      instanceId: instance.id,
      ownership,
      registry,
      discovery,
      forwarder,
      bind: (operationId, binding) => operations.bind(operationId, binding),
      logger,
      metrics,
      tracing,
      attempts: kubesvc.operations.routingAttempts,
    });
    scope.push('routing', () => {
      routing.stop();
    });
    const router = new Router({
      instanceId: instance.id,
      ownership,
      routing,
      recorder,
      operations,
      recordedResult,
      logger,
      metrics,
      pending: { entries: kubesvc.operations.maxPending, bytes: kubesvc.operations.maxPendingBytes },
      defaultTimeoutMs: kubesvc.cache.operationWaitMs,
      maxTimeoutMs: kubesvc.operations.maxTimeoutMs,
      maxMessageBytes: grpc.maxInboundMessageSize,
      now,
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
      tracing,
      maxMessageBytes: grpc.maxInboundMessageSize,
      receipt,
      tooLarge: tooLargeResult,
      stopping: routing.stopping,
      now,
    });
    const recovery = new Recovery({ router, routing, ownership, logger, metrics, checkMs: recoveryCheckMs });
    recovery.start();
    scope.push('recovery', () => {
      recovery.stop();
    });
    background('recovery', (at) => recovery.run(at));
    const adoption = new Adoption({ instanceId: instance.id, operations, router, recorder, logger, overdueMs });
    const stopping = () =>
      new GatewayError('draining', `instance ${instance.id} is shutting down; dial or ask another one`, {
        instanceId: instance.id,
        retryAfterMs: 1_000,
      });
    registry.start();
    scope.push('registry', () => registry.stop(stopping()));
    const shared = { config, environment, database, locks, registry, frames, ownership, logger, metrics };
    const dynamicAccounts = createDynamicAccounts(shared);
    const leaseDatabase = database.reserved();
    scope.push('database of the lease', () => leaseDatabase.close());
    const lease = new Lease({
      instances: new InstanceStore(leaseDatabase),
      self: () => ({ id: instance.id, baseUrl: instance.baseUrl, version, agents: registry.agentCount }),
      heartbeatMs,
      leaseMs,
      unsafeMs: times.unsafeMs,
      onUnsafe: () => {
        registry.stopCaching();
      },
      onRenewedLate: (at) => registry.reclaim(at),
      logger,
    });
    await lease.start(signal);
    scope.push('lease', () => lease.end(AbortSignal.timeout(config.sql.queryTimeoutMs)));
    background('lease', (at) => lease.run(at));
    // What a predecessor of the same id left unfinished.
    await adoption.adoptFrom(instance.id, signal);
    await dynamicAccounts.releaseClaims(instance.id, signal);
    for (const [name, run] of dynamicAccounts.loops) background(name, run);
    background('adoption', (at) => adoption.run(at));
    const reaper = new Reaper({
      instanceId: instance.id,
      instances,
      locks,
      ownership,
      lease,
      leaseMs,
      cachesOnMs: times.afterLeaseMs,
      onDead: (id, at) => Promise.all([adoption.adoptFrom(id, at), dynamicAccounts.releaseClaims(id, at)]),
      logger,
    });
    background('reaper', (at) => reaper.run(at));
    background('caching election', (at) => electCachers({ ownership, periodMs: leaseMs / 5, logger }, at));
    const { enabled: rebalances, periodSeconds, tolerance } = kubesvc.rebalance;
    if (rebalances) {
      const periodMs = periodSeconds * 1_000;
      const rebalancer = new Rebalancer({ instances, registry, frames, leaseMs, periodMs, tolerance, logger });
      background('rebalancer', (at) => rebalancer.run(at));
    }
    const jobs = maintenanceJobs({ config, database, locks, operations, ownership, metrics, logger, now });
    for (const [name, run] of Object.entries(jobs)) background(name, run);
    const caching = createCachingIngest(shared);
    scope.push('caching', () => caching.stop(stopping()));
    const maxConnectionAgeMs = grpc.maxConnectionAgeSeconds * 1_000;
    background('liveness', (at) =>
      new Liveness({ registry, frames, times, maxConnectionAgeMs, now: steadyTime, wallTime: now }).run(at),
    );
    const readiness = new Readiness(
      dependencyChecks({
        lease,
        database,
        mirror: () =>
          mirror === undefined ? undefined : { live: mirror.state.name === 'live', reason: mirror.state.reason },
        discovery: () => discovery.state(),
      }),
    );
    const stores = { assignments, operations, instances, dynamicAccounts: dynamicAccounts.routes };
    const domain = { discovery, forwarder, ownership, registry, router, routing };
    const rest = await createRestServer({
      ...createClusterCalls({ config, version, ...stores, ...domain, metrics, logger, now }),
      instanceId: instance.id,
      version,
      logger: pino,
      maxBodyBytes: server.maxBodySize,
      maxHeaderBytes: server.maxHeaderSize,
      requestTimeoutMs: server.requestTimeoutMs,
      idleTimeoutMs: server.idleTimeoutMs,
      requestRate: { maxRequestsPerSecond: server.maxRequestsPerSecond, redis, redisPrefix: config.redis.keyPrefix },
      authorization: { ...authorizationOf(config, security), timeoutMs: grpc.handshakeTimeoutMs, logger, metrics },
      router,
      registry,
      results,
      operations,
      assignments,
      rivals,
      owners,
      dynamicAccounts: dynamicAccounts.routes,
      database,
      discovery,
      readiness,
      metrics,
      tracing,
      collect: () => {
        const observed = { registry, router, map, mirror, discovery, database, caching, recorder, forwarder, lease };
        collectGauges(metrics, { ...observed, readiness, redis });
      },
    });
    scope.push('rest', () => rest.close());
    const { agents: auth } = security;
    const admission = {
      admit: auth && (async (shown, at) => agentPeer(await auth.admit(shown, at), auth)),
      timeoutMs: grpc.handshakeTimeoutMs,
      logger,
      metrics,
    } satisfies AdmissionOptions;
    auth?.onChange(() => {
      registry.judgeAgain();
    });
    background('files of identities', (at) => security.run(logger, at));
    const agents = createGrpcServer({
      operations: createOperationsService({
        registry,
        results,
        admission,
        registrationLimits: new RegistrationLimits(grpc, steadyTime),
        limits: { maxInFlight: kubesvc.operations.maxPendingPerAgent, queueLimit: kubesvc.operations.agentQueueLimit },
        maxMessageBytes: grpc.maxInboundMessageSize,
        handshakeTimeoutMs: grpc.handshakeTimeoutMs,
        registrationTimeoutMs: config.sql.queryTimeoutMs * 3,
        logger,
        metrics,
        now: steadyTime,
      }),
      caching: createCachingService(caching, grpc.handshakeTimeoutMs, admission),
      health: grpc.healthServiceEnabled,
      reflection: grpc.reflectionServiceEnabled,
      maxMessageBytes: grpc.maxInboundMessageSize,
      keepAliveTimeMs: grpc.keepAliveTimeMs,
      keepAliveTimeoutMs: grpc.keepAliveTimeoutMs,
      maxConnectionAgeMs: maxConnectionAgeMs * 1.5,
      maxConnectionAgeGraceMs: grpc.maxConnectionAgeGraceSeconds * 1_000,
    });
    scope.push('grpc', () => {
      agents.stop();
    });
    const agentsPort = createAgentsPort({ config, tls: agentsTls, logger, metrics }, agents.take);
    const restPort = createRestPort({ config, tls: restTls, logger, metrics }, rest);
    scope.push('agents port', () => {
      agentsPort.close();
    });
    const agentsAddress = await agentsPort.listen();
    scope.push('rest port', () => {
      restPort.close();
    });
    const restAddress = await restPort.listen();
    const renewRest = (material: TlsMaterial): void => {
      restPort.renew(material);
      peerMaterial = material;
      forwarder.renew();
    };
    for (const { name, port, config, section, material } of [
      {
        ...{ name: 'agents', port: agentsPort, material: agentsTls },
        ...{ config: grpc.security, section: 'kubesvc.grpc.server.security' },
      },
      {
        ...{ name: 'rest', port: { renew: renewRest }, material: restTls },
        ...{ config: server.ssl, section: 'server.ssl' },
      },
    ]) {
      if (material === undefined) continue;
      const renewal = { name, port, config, section, material, logger, metrics };
      background(`TLS of ${name}`, (signal) => renewTls(renewal, signal));
    }

    drain = (deadline) => {
      const parts = { registry, router, frames, readiness, discovery, agents, agentsPort, restPort, metrics, logger };
      const agentsMove = kubesvc.cluster !== 'local';
      return drainGateway({ ...parts, ...kubesvc.drain, agentsMove, refusal: stopping() }, deadline);
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
