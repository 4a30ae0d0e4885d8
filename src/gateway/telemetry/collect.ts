/** Gauges that are read off the domain's state at the moment they are asked for. */

import type { Discovery } from '../../discovery/discovery.js';
import type { Database } from '../../store/database.js';
import type { OwnershipMap } from '../../store/mirror/ownership-map.js';
import type { RedisMirror } from '../../store/mirror/redis-mirror.js';
import type { Registry } from '../agents/registry.js';
import type { CachingIngest } from '../caching/ingest.js';
import type { Router } from '../operations/router.js';
import type { Metrics } from './metrics.js';

export interface Observed {
  readonly registry: Registry;
  readonly router: Router;
  readonly map: OwnershipMap;
  readonly mirror: RedisMirror | undefined;
  readonly discovery: Discovery;
  readonly database: Database;
  readonly caching: CachingIngest;
}

export function collectGauges(metrics: Metrics, observed: Observed): void {
  const { registry, router, map, mirror, discovery, database, caching } = observed;
  metrics.accounts.set(registry.accountCount);
  metrics.pending.set(router.pendingCount);
  metrics.cachingStreams.set(caching.streams);
  metrics.cachingQueue.set(caching.waitingBytes);
  metrics.mirrorSize.set(map.size);
  metrics.mirrorLive.set(mirror === undefined || mirror.state.name === 'live' ? 1 : 0);
  const { gaps, reloads } = mirror?.statistics() ?? { gaps: 0, reloads: 0 };
  metrics.mirrorGaps.set(gaps);
  metrics.mirrorReloads.set(reloads);
  const members = discovery.instances();
  const ready = members.filter((member) => member.ready).length;
  metrics.instances.set({ ready: 'true' }, ready);
  metrics.instances.set({ ready: 'false' }, members.length - ready);
  const { idle, size, waiting } = database.pool();
  metrics.sqlConnections.set({ state: 'idle' }, idle);
  metrics.sqlConnections.set({ state: 'busy' }, size - idle);
  metrics.sqlConnections.set({ state: 'waiting' }, waiting);
}
