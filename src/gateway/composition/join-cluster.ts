/**
 * Phase 3: takes the lease, by which the other replicas know this one, goes on with what a predecessor of the same id left,
 * and starts the work in the background.
 */

import { electCachers } from '../agents/caching-assignment/election.js';
import { Liveness } from '../agents/liveness.js';
import { Reaper } from '../agents/reaper.js';
import { Rebalancer } from '../agents/rebalancer.js';
import type { Session } from '../agents/session.js';
import type { Domain } from './assemble.js';
import { startClouddriverAccounts } from './clouddriver-accounts.js';
import type { Dependencies } from './connect.js';
import { maintenanceJobs } from './maintenance.js';
import { steadyTime, type StartContext } from './start-context.js';

/** @throws GatewayError `dependency-unavailable` */
export async function joinCluster(
  context: StartContext,
  dependencies: Dependencies,
  domain: Domain,
  signal: AbortSignal,
): Promise<void> {
  const { config, logger, lifetime } = context;
  const { lease, adoption, dynamicAccounts, configServer, presence } = domain;
  await dependencies.stores.presence.instanceGone(config.instance.id, signal);
  await lease.start(signal);
  lifetime.push('lease', () => lease.end(AbortSignal.timeout(config.sql.queryTimeoutMs)));
  lifetime.background('lease', (at) => lease.run(at));
  await adoption.adoptFrom(config.instance.id, signal);
  await dynamicAccounts.releaseClaims(config.instance.id, signal);
  for (const [name, run] of dynamicAccounts.loops) lifetime.background(name, run);
  if (configServer?.refresh !== undefined) lifetime.background('refresh of Clouddrivers', configServer.refresh);
  lifetime.background('adoption', (at) => adoption.run(at));
  const { accountTokens } = dependencies;
  if (accountTokens !== undefined) lifetime.background('account tokens', (at) => accountTokens.run(logger, at));
  lifetime.background('presence', (at) => presence.run(at));
  watchInstances(context, dependencies, domain);
  watchAgents(context, dependencies, domain);
  maintainDatabase(context, dependencies, domain);
  startClouddriverAccounts(context, dependencies, domain);
}

/** Takes over from instances that die. */
function watchInstances(
  { config, logger, lifetime }: StartContext,
  { stores: { instances, locks, presence } }: Dependencies,
  { ownership, lease, times, adoption, dynamicAccounts }: Domain,
): void {
  const reaper = new Reaper({
    instanceId: config.instance.id,
    instances,
    locks,
    ownership,
    lease,
    leaseMs: config.kubesvc.instances.leaseMs,
    cachingGraceMs: times.afterLeaseMs,
    onDead: (id, at) =>
      Promise.all([adoption.adoptFrom(id, at), dynamicAccounts.releaseClaims(id, at), presence.instanceGone(id, at)]),
    logger,
  });
  lifetime.background('reaper', (at) => reaper.run(at));
}

/** Who caches, who is on which replica, and who is still there. */
function watchAgents(
  { config, logger, now: wallTime, lifetime }: StartContext,
  { stores: { instances } }: Dependencies,
  { ownership, registry, frames, times, agentTunnels }: Domain,
): void {
  const { rebalance, grpc } = config.kubesvc;
  const { leaseMs } = config.kubesvc.instances;
  lifetime.background('caching election', (at) => electCachers({ ownership, periodMs: leaseMs / 5, logger }, at));
  if (rebalance.enabled) {
    const { periodSeconds, tolerance } = rebalance;
    const periodMs = periodSeconds * 1_000;
    const busy = (session: Session): boolean => agentTunnels.busy(session);
    const rebalancer = new Rebalancer({ instances, registry, frames, leaseMs, periodMs, tolerance, busy, logger });
    lifetime.background('rebalancer', (at) => rebalancer.run(at));
  }
  const maxConnectionAgeMs = grpc.server.maxConnectionAgeSeconds * 1_000;
  const liveness = new Liveness({ registry, frames, times, maxConnectionAgeMs, now: steadyTime, wallTime });
  lifetime.background('liveness', (at) => liveness.run(at));
}

function maintainDatabase(
  { config, logger, now, lifetime }: StartContext,
  { database, metrics, stores: { locks, operations, instances, presence } }: Dependencies,
  { ownership }: Domain,
): void {
  const stores = { locks, operations, instances, presence };
  const jobs = maintenanceJobs({ ...stores, config, database, ownership, metrics, logger, now });
  for (const [name, run] of Object.entries(jobs)) lifetime.background(name, run);
}
