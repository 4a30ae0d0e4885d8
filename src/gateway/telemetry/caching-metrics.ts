/** Metrics of cached objects. */

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { secondsBuckets } from './buckets.js';

export function cachingMetrics(registers: Registry[]) {
  return {
    cachingEvents: new Counter({
      name: 'agent_gateway_caching_events_total',
      help: 'Events of cached objects, by type and outcome (stored, not_wanted, not_held, invalid).',
      labelNames: ['type', 'outcome'],
      registers,
    }),
    cachingBytes: new Counter({
      name: 'agent_gateway_caching_bytes_total',
      help: 'Size of the messages with cached objects that were committed.',
      registers,
    }),
    cachingLag: new Histogram({
      name: 'agent_gateway_caching_lag_seconds',
      help: 'Time from receipt to commit of cached objects, for the oldest message of each commit.',
      buckets: secondsBuckets,
      registers,
    }),
    cachingSnapshots: new Counter({
      name: 'agent_gateway_caching_snapshots_total',
      help: 'Snapshots of cached objects, by state (begun, complete).',
      labelNames: ['state'],
      registers,
    }),
    cachingRemoved: new Counter({
      name: 'agent_gateway_caching_removed_objects_total',
      help: 'Cached objects removed because a snapshot did not contain them.',
      registers,
    }),
    cachingStreams: new Gauge({
      name: 'agent_gateway_caching_streams',
      help: 'Open streams of cached objects.',
      registers,
    }),
    cachingQueue: new Gauge({
      name: 'agent_gateway_caching_queue_bytes',
      help: 'Size of cached objects that were received but are not committed yet.',
      registers,
    }),
  };
}
