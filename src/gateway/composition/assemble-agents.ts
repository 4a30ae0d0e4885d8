/** Of phase 2: who is connected here, what they own, and for how long others take this replica for alive. */

import { InstanceStore } from '../../store/instances/instances.js';
import { Claims } from '../agents/claims.js';
import { Lease } from '../agents/lease.js';
import { livenessTimes, type LivenessTimes } from '../agents/liveness-times.js';
import { OwnershipService } from '../agents/ownership.js';
import { cachingGraceMs } from '../agents/caching-assignment/grace.js';
import { CachingSwitches } from '../agents/caching-assignment/switches.js';
import { Presence } from '../agents/presence.js';
import { Registrations } from '../agents/registrations.js';
import { Registry } from '../agents/registry.js';
import { RivalProcesses } from '../agents/rival-processes.js';
import type { SessionFrames } from '../agents/session-frames.js';
import { createFrames } from '../grpc/frames.js';
import type { Dependencies } from './connect.js';
import { steadyTime, type StartContext } from './start-context.js';

export interface AgentParts {
  readonly times: LivenessTimes;
  readonly frames: SessionFrames;
  readonly ownership: OwnershipService;
  readonly lease: Lease;
  readonly registry: Registry;
  readonly registrations: Registrations;
  readonly presence: Presence;
  readonly switches: CachingSwitches;
  readonly rivals: RivalProcesses;
}

/** A late result is still taken this long after its operation's time, in ms. */
const lateResultMs = 60_000;

export function assembleAgents(
  { config, version, logger, now, lifetime }: StartContext,
  { stores, leaseDatabase, map, mirror, metrics }: Dependencies,
): AgentParts {
  const { instance, kubesvc, sql } = config;
  const grpc = kubesvc.grpc.server;
  const { heartbeatMs, leaseMs } = kubesvc.instances;
  const { assignments, principals } = stores;
  const times = livenessTimes(kubesvc.instances);
  const frames = createFrames(instance.id, grpc.maxInboundMessageSize);
  const ownership = new OwnershipService({ assignments, map, mirror, logger });

  // Claims and caching ask the lease whether it is sure, and the lease counts agents, stops their caching and has them claimed
  // again: they need each other. The lease is made first and calls the others late: it is started in the next phase only.
  const lease: Lease = new Lease({
    instances: new InstanceStore(leaseDatabase),
    self: () => ({ id: instance.id, baseUrl: instance.baseUrl, version, agents: registry.agentCount }),
    heartbeatMs,
    leaseMs,
    unsafeMs: times.unsafeMs,
    onUnsafe: () => {
      switches.stop();
    },
    onRenewedLate: (at) => registrations.reclaim(at),
    logger,
  });
  const claims = new Claims({
    ownership,
    nextEpochs: (count, at) => assignments.nextEpoch(count, at),
    lease,
    cachingGraceMs: cachingGraceMs(times.alone.silenceMs),
    timeoutMs: sql.queryTimeoutMs * 2,
    logger,
  });
  const presence = new Presence({
    instanceId: instance.id,
    store: stores.presence,
    timeoutMs: sql.queryTimeoutMs,
    logger,
    now: steadyTime,
  });
  // After the registry has ended the last streams.
  lifetime.push('presence', () => presence.stop());
  const registry = new Registry({
    instanceId: instance.id,
    ownership,
    claims,
    presence,
    frames,
    times,
    logger,
    metrics,
    lateResultMs,
    now,
  });
  const switches = new CachingSwitches({ registry, ownership, frames, lease });
  const registrations = new Registrations({
    instanceId: instance.id,
    registry,
    claims,
    ownership,
    caching: switches,
    bindZone: (zoneId, principal, at) => principals.bindZone(zoneId, principal, at),
    frames,
    logger,
    maxAccountsPerAgent: grpc.maxAccountsPerAgent,
  });

  const rivals = new RivalProcesses({ instanceId: instance.id, logger, metrics });
  lifetime.push(
    'rival processes',
    ownership.onChange((...change) => {
      rivals.changed(...change);
    }),
  );
  return { times, frames, ownership, lease, registry, registrations, presence, switches, rivals };
}
