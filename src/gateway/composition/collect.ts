/** Gauges that are read from the domain's state at the moment of a scrape. */

import type { Discovery } from '../../discovery/discovery.js';
import type { Database } from '../../store/sql/database.js';
import type { OwnershipMap } from '../../store/mirror/ownership-map.js';
import type { RedisMirror } from '../../store/mirror/redis-mirror.js';
import { isMissing } from '../attention/attention.js';
import type { ClusterReader } from '../attention/cluster-reader.js';
import type { Lease } from '../agents/lease.js';
import type { Registry } from '../agents/registry.js';
import type { CachingIngest } from '../caching/ingest.js';
import type { AgentTunnels } from '../kubernetes-api/agent-tunnels.js';
import type { Forwarder } from '../peers/forwarder.js';
import type { Recorder } from '../operations/recorder.js';
import type { Acceptance } from '../operations/acceptance.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Readiness } from '../telemetry/readiness.js';

export interface Observed {
  readonly registry: Registry;
  readonly acceptance: Acceptance;
  readonly map: OwnershipMap;
  readonly mirror: RedisMirror | undefined;
  readonly discovery: Discovery;
  readonly database: Database;
  readonly caching: CachingIngest;
  readonly recorder: Recorder;
  readonly forwarder: Forwarder;
  readonly agentTunnels: Pick<AgentTunnels, 'tunnelCount' | 'waitingCount'>;
  readonly lease: Pick<Lease, 'held' | 'term'>;
  readonly readiness: Readiness;
  readonly reader: Pick<ClusterReader, 'offline' | 'instances'>;
  readonly redis: { readonly status: string } | undefined;
}

export function collectGauges(metrics: Metrics, observed: Observed): void {
  const { registry, acceptance, map, mirror, discovery, database, caching } = observed;
  metrics.accounts.set(registry.accountCount);
  metrics.pending.set(acceptance.pendingCount);
  metrics.cachingStreams.set(caching.streams);
  metrics.cachingQueue.set(caching.waitingBytes);
  metrics.mirrorSize.set(map.size);
  const live = mirror === undefined || mirror.state.name === 'live';
  metrics.mirrorLive.set(live ? 1 : 0);
  metrics.mirrorAge.set(live ? 0 : (performance.now() - mirror.state.since) / 1_000);
  const { gaps, reloads } = mirror?.statistics() ?? { gaps: 0, reloads: 0 };
  metrics.mirrorGaps.reset();
  metrics.mirrorGaps.inc(gaps);
  metrics.mirrorReloads.reset();
  metrics.mirrorReloads.inc(reloads);
  const members = discovery.instances();
  const ready = members.filter((member) => member.ready).length;
  metrics.instances.set({ ready: 'true' }, ready);
  metrics.instances.set({ ready: 'false' }, members.length - ready);
  const { idle, size, waiting } = database.pool();
  metrics.sqlConnections.set({ state: 'idle' }, idle);
  metrics.sqlConnections.set({ state: 'busy' }, size - idle);
  metrics.sqlConnections.set({ state: 'waiting' }, waiting);
  const { recorder, forwarder, agentTunnels, lease, readiness, redis } = observed;
  metrics.redisConnected.set(redis === undefined || redis.status === 'ready' ? 1 : 0);
  metrics.ready.set(readiness.report().ready ? 1 : 0);
  metrics.leaseHeld.set(lease.held ? 1 : 0);
  metrics.leaseLosses.reset();
  metrics.leaseLosses.inc(lease.term);
  metrics.kubernetesTunnels.set(agentTunnels.tunnelCount);
  collectGone(metrics, observed.reader);
  let frames = 0;
  for (const session of registry.sessions) frames += session.queueLength;
  const queues = {
    agents: frames,
    peers: forwarder.queueLength,
    tunnels: agentTunnels.waitingCount,
    ...recorder.queueLengths,
  };
  for (const [queue, length] of Object.entries(queues)) metrics.queueLength.set({ queue }, length);
}

/** A scrape does not wait for the database: it gets what was read for the scrape before, or for somebody else since. */
function collectGone(metrics: Metrics, { offline, instances }: Observed['reader']): void {
  void offline.refresh();
  void instances.refresh();
  const agents = offline.value?.agents ?? [];
  metrics.agentsOffline.set(agents.length);
  metrics.agentsMissing.set(agents.filter(isMissing).length);
  metrics.accountsOffline.set(offline.value?.accounts.length ?? 0);
  const lost = instances.value?.lost ?? [];
  metrics.instancesLost.set(lost.filter(({ replacedBy }) => replacedBy === undefined).length);
}
