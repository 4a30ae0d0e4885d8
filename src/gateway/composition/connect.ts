/** Phase 1: opens what a replica depends on, and connects to it. */

import type { Redis } from 'ioredis';
import type { Discovery } from '../../discovery/discovery.js';
import { ClouddriverAccountStore } from '../../store/accounts/clouddriver-accounts.js';
import { AssignmentStore } from '../../store/assignments/assignments.js';
import { openDatabase, type Database } from '../../store/sql/database.js';
import { InstanceStore } from '../../store/instances/instances.js';
import { LockStore } from '../../store/instances/locks.js';
import { migrate } from '../../store/migrations/migrate.js';
import { OwnershipMap } from '../../store/mirror/ownership-map.js';
import { RedisMirror } from '../../store/mirror/redis-mirror.js';
import { PresenceStore } from '../../store/presence/presence.js';
import { OperationStore } from '../../store/operations/operations.js';
import { TokenRevocationStore } from '../../store/accounts/token-revocations.js';
import { PrincipalStore } from '../../store/accounts/principals.js';
import { databaseOptions } from '../config/database-options.js';
import { createMetrics, type Metrics } from '../telemetry/metrics.js';
import { createTracing, type Tracing } from '../telemetry/tracing.js';
import { readTls, type TlsMaterial } from '../tls/material.js';
import { openAccountTokens, type AccountTokenParts } from './account-tokens.js';
import { createDiscovery, createRedis, migrateAsOther } from './dependencies.js';
import { openSecurity, TlsToPeers, type Security } from './security.js';
import type { StartContext } from './start-context.js';

export interface Dependencies {
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  /** Of the ports; undefined where TLS is off. */
  readonly tls: { readonly agents: TlsMaterial | undefined; readonly rest: TlsMaterial | undefined };
  readonly tlsToPeers: TlsToPeers;
  readonly security: Security;
  /** Absent: there are no tokens of accounts. */
  readonly accountTokens: AccountTokenParts | undefined;
  readonly database: Database;
  /** On a connection that only the lease uses. */
  readonly leaseDatabase: Database;
  readonly stores: Stores;
  readonly redis: Redis | undefined;
  readonly map: OwnershipMap;
  /** Absent without Redis; it may be degraded. */
  readonly mirror: RedisMirror | undefined;
  readonly discovery: Discovery;
}

interface Stores {
  readonly assignments: AssignmentStore;
  readonly clouddriverAccounts: ClouddriverAccountStore;
  readonly instances: InstanceStore;
  readonly locks: LockStore;
  readonly operations: OperationStore;
  readonly principals: PrincipalStore;
  readonly presence: PresenceStore;
}

/** @throws GatewayError naming the setting of what cannot be used; `dependency-unavailable` */
export async function connect(context: StartContext, signal: AbortSignal): Promise<Dependencies> {
  const { config, version, logger, environment, now, lifetime } = context;
  const { kubesvc, server } = config;
  const metrics = createMetrics(config.instance.id, version);
  metrics.collectProcess();
  const tracing = await createTracing({ ...config.tracing, instanceId: config.instance.id, version });
  lifetime.push('tracing', () => tracing.stop());
  lifetime.push('metrics', () => {
    metrics.registry.clear();
  });
  const [agents, rest] = await Promise.all([
    readTls(kubesvc.grpc.server.security, 'kubesvc.grpc.server.security'),
    readTls(server.ssl, 'server.ssl'),
  ]);
  const tlsToPeers = new TlsToPeers(rest, server.auth.instances.serverName);
  const security = await openSecurity(config, environment, lifetime, now);
  performance.mark('start: identities and certificates read');
  const databases = await openDatabases(context, signal);
  performance.mark('start: database connected, schema up to date');
  const stores = createStores(databases.database, kubesvc.instances.leaseMs);
  const accountTokens = await openAccountTokens(config, new TokenRevocationStore(databases.database), signal);
  const redis = createRedis(config);
  if (redis !== undefined) {
    lifetime.push('redis', () => {
      redis.disconnect();
    });
  }
  const map = new OwnershipMap();
  const mirror =
    redis === undefined
      ? undefined
      : new RedisMirror({
          redis,
          map,
          truth: stores.assignments,
          logger,
          settings: { prefix: config.redis.keyPrefix },
        });
  if (mirror !== undefined) {
    lifetime.push('mirror', () => mirror.stop());
    await mirror.start();
    performance.mark('start: mirror connected');
  }
  const discovery =
    context.discovery ?? (await createDiscovery(config, redis, () => tlsToPeers.current, logger, environment));
  lifetime.push('discovery', () => discovery.stop());
  await discovery.start(signal);
  performance.mark('start: discovery started');
  const tls = { agents, rest };
  return {
    metrics,
    tracing,
    tls,
    tlsToPeers,
    security,
    accountTokens,
    ...databases,
    stores,
    redis,
    map,
    mirror,
    discovery,
  };
}

/** Brings the schema up to date, as the user who may. */
async function openDatabases({ config, logger, lifetime }: StartContext, signal: AbortSignal) {
  const database = openDatabase(await databaseOptions(config, 'service'));
  lifetime.push('database', () => database.close());
  const { url, user } = config.sql.migration;
  if (url === undefined && user === undefined) await migrate(database, { logger, signal });
  else await migrateAsOther(config, logger, signal);
  const leaseDatabase = database.reserved();
  lifetime.push('database of the lease', () => leaseDatabase.close());
  return { database, leaseDatabase };
}

function createStores(database: Database, leaseMs: number): Stores {
  return {
    assignments: new AssignmentStore(database, { leaseMs }),
    clouddriverAccounts: new ClouddriverAccountStore(database),
    instances: new InstanceStore(database),
    locks: new LockStore(database),
    operations: new OperationStore(database),
    principals: new PrincipalStore(database),
    presence: new PresenceStore(database, { leaseMs, graceMs: 2 * leaseMs }),
  };
}
