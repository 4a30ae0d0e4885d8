/** All metrics of a replica, in one registry of its own. No label has unbounded values. */

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ErrorCode } from '../../core/errors.js';
import type { FinalOutcome } from '../../store/operations/operation-record.js';

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** How an operation went: its agent was connected here, or to another instance, or it reached none. */
export type Path = 'local' | 'forwarded' | 'none';

export type Metrics = ReturnType<typeof createMetrics>;

/** @param instanceId becomes the value of the info metric, and of nothing else */
export function createMetrics(instanceId: string, version: string) {
  const registry = new Registry();
  const registers = [registry];
  const info = new Gauge({
    name: 'agent_gateway_info',
    help: 'Version of this instance.',
    labelNames: ['version', 'instance_id'],
    registers,
  });
  info.set({ version, instance_id: instanceId }, 1);
  const operations = new Counter({
    name: 'agent_gateway_operations_total',
    help: 'Operations that this instance originated, by path (local, forwarded, none) and outcome: the `finalOutcome` of its record (`timed out`), or of one that was refused the last part of the `type` of its problem (`no-agent`).',
    labelNames: ['path', 'outcome'],
    registers,
  });
  const operationSeconds = new Histogram({
    name: 'agent_gateway_operation_duration_seconds',
    help: 'From received to ended, whatever the outcome: answered, timed out, refused.',
    labelNames: ['path'],
    buckets: [...seconds, 60, 300],
    registers,
  });
  const routingSeconds = new Histogram({
    name: 'agent_gateway_routing_duration_seconds',
    help: 'From received to taken by the owner.',
    labelNames: ['path'],
    buckets: seconds,
    registers,
  });
  return {
    registry,
    /** Event loop delay, heap, garbage collection, file descriptors; started apart, because it holds a timer. */
    collectProcess: () => {
      collectDefaultMetrics({ register: registry });
    },
    streams: new Gauge({
      name: 'agent_gateway_agent_streams',
      help: 'Open agent streams, registered or not.',
      registers,
    }),
    agents: new Gauge({
      name: 'agent_gateway_agents_connected',
      help: 'Agents registered on this instance.',
      registers,
    }),
    accounts: new Gauge({
      name: 'agent_gateway_accounts_served',
      help: 'Accounts that this instance holds a stream for.',
      registers,
    }),
    registrations: new Counter({
      name: 'agent_gateway_registrations_total',
      help: 'Registrations by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    rivalProcesses: new Counter({
      name: 'agent_gateway_rival_processes_total',
      help: 'Registrations here of a process that takes an agent id back from another one, which is alive as well.',
      registers,
    }),
    /** An operation has ended, with an answer or without. */
    ended(path: Path, outcome: FinalOutcome | ErrorCode, durationSeconds: number): void {
      operations.inc({ path, outcome });
      operationSeconds.observe({ path }, durationSeconds);
    },
    /** An operation was taken by its owner. */
    routed(path: Path, durationSeconds: number): void {
      routingSeconds.observe({ path }, durationSeconds);
    },
    pending: new Gauge({
      name: 'agent_gateway_operations_pending',
      help: 'Operations that this instance waits for.',
      registers,
    }),
    forwards: new Counter({
      name: 'agent_gateway_forwards_total',
      help: 'Operations sent to another instance, by outcome (taken, not_owner, unreachable, timed_out, refused).',
      labelNames: ['outcome'],
      registers,
    }),
    authentications: new Counter({
      name: 'agent_gateway_authentications_total',
      help: 'Peers that had to prove who they are, by port (agents, rest) and outcome (admitted, or why not).',
      labelNames: ['port', 'outcome'],
      registers,
    }),
    results: new Counter({
      name: 'agent_gateway_results_total',
      help: 'Results of agents, by where they went (local, forwarded, recorded, unknown, foreign, too_large).',
      labelNames: ['way'],
      registers,
    }),
    resent: new Counter({
      name: 'agent_gateway_operations_resent_total',
      help: 'Operations sent again after their agent or owner was lost.',
      registers,
    }),
    adopted: new Counter({
      name: 'agent_gateway_operations_adopted_total',
      help: 'Operations taken over from instances that died.',
      registers,
    }),
    recordsLost: new Counter({
      name: 'agent_gateway_operation_records_lost_total',
      help: 'Outcomes that could not be recorded.',
      registers,
    }),
    historyPurged: new Counter({
      name: 'agent_gateway_operation_history_purged_total',
      help: 'Records of operations that were deleted for their age.',
      registers,
    }),
    refusedConnections: new Counter({
      name: 'agent_gateway_refused_connections_total',
      help: 'Connections whose first bytes the port does not speak, that are over a limit (protocol="limit"), or that were ended because they stalled ("stalled").',
      labelNames: ['port', 'protocol'],
      registers,
    }),
    certificateExpiry: new Gauge({
      name: 'agent_gateway_tls_certificate_expiry_timestamp_seconds',
      help: 'When the certificate that a port shows expires, in seconds since 1970.',
      labelNames: ['port'],
      registers,
    }),
    tlsRenewals: new Counter({
      name: 'agent_gateway_tls_renewals_total',
      help: 'Looks at the TLS files of a port that found new ones (taken) or some that cannot be used (refused).',
      labelNames: ['port', 'outcome'],
      registers,
    }),
    mirrorSize: new Gauge({
      name: 'agent_gateway_mirror_accounts',
      help: 'Accounts in the in-process mirror of ownership.',
      registers,
    }),
    mirrorLive: new Gauge({
      name: 'agent_gateway_mirror_live',
      help: '1 while the mirror follows Redis without a gap.',
      registers,
    }),
    mirrorAge: new Gauge({
      name: 'agent_gateway_mirror_age_seconds',
      help: 'How long the mirror has not followed Redis; 0 while it does.',
      registers,
    }),
    mirrorGaps: new Counter({
      name: 'agent_gateway_mirror_gaps_total',
      help: 'Gaps seen in the stream of invalidations since the start.',
      registers,
    }),
    mirrorReloads: new Counter({
      name: 'agent_gateway_mirror_reloads_total',
      help: 'Page-wise reloads of the mirror since the start.',
      registers,
    }),
    instances: new Gauge({
      name: 'agent_gateway_instances',
      help: 'Members of the cluster that discovery knows, by readiness.',
      labelNames: ['ready'],
      registers,
    }),
    sqlConnections: new Gauge({
      name: 'agent_gateway_sql_connections',
      help: 'Connections of the SQL pool, by state.',
      labelNames: ['state'],
      registers,
    }),
    accountTurns: new Counter({
      name: 'agent_gateway_account_turns_total',
      help: 'Turns of this instance for dynamic accounts, by aim (serve, clear) and the status that they ended in.',
      labelNames: ['aim', 'end'],
      registers,
    }),
    cachingEvents: new Counter({
      name: 'agent_gateway_caching_events_total',
      help: 'Events of cached objects, by type and outcome (stored, not_wanted, not_held, invalid).',
      labelNames: ['type', 'outcome'],
      registers,
    }),
    cachingBytes: new Counter({
      name: 'agent_gateway_caching_bytes_total',
      help: 'Bytes of messages of cached objects that were committed.',
      registers,
    }),
    cachingLag: new Histogram({
      name: 'agent_gateway_caching_lag_seconds',
      help: 'From received to committed, of the oldest message of each commit.',
      buckets: seconds,
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
      help: 'Bytes of cached objects that came and are not committed.',
      registers,
    }),
    redisConnected: new Gauge({
      name: 'agent_gateway_redis_connected',
      help: '1 while the connection to Redis is open, and where Redis is not configured.',
      registers,
    }),
    ready: new Gauge({ name: 'agent_gateway_ready', help: '1 while this instance takes operations.', registers }),
    leaseLosses: new Counter({
      name: 'agent_gateway_lease_losses_total',
      help: 'How often the lease may have lapsed, so that all accounts were reclaimed: the database, or this instance, was away.',
      registers,
    }),
    leaseHeld: new Gauge({
      name: 'agent_gateway_lease_held',
      help: '1 while this instance holds its lease in SQL, without which others take over its accounts.',
      registers,
    }),
    queueLength: new Gauge({
      name: 'agent_gateway_queue_length',
      help: 'What waits: agents (frames that agents do not read), peers (operations and results for other instances), operations, outcomes and notes (records for SQL).',
      labelNames: ['queue'],
      registers,
    }),
    draining: new Gauge({ name: 'agent_gateway_draining', help: '1 while this instance drains.', registers }),
  };
}
