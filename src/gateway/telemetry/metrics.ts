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
    help: 'Operations that callers sent to this instance, by path (local, forwarded, none) and outcome: the `finalOutcome` of the record (`timed out`) or, if the operation was refused, the last part of the `type` of the problem (`no-agent`).',
    labelNames: ['path', 'outcome'],
    registers,
  });
  const operationSeconds = new Histogram({
    name: 'agent_gateway_operation_duration_seconds',
    help: 'Time from receipt to end of an operation, with any outcome: answered, timed out, refused.',
    labelNames: ['path'],
    buckets: [...seconds, 60, 300],
    registers,
  });
  const routingSeconds = new Histogram({
    name: 'agent_gateway_routing_duration_seconds',
    help: 'Time from receipt of an operation until the owner has taken it.',
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
      help: 'Open streams of agents, registered or not.',
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
      help: 'Registrations of agents, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    rivalProcesses: new Counter({
      name: 'agent_gateway_rival_processes_total',
      help: 'Registrations of a process that takes its agent id back from another process that is still alive.',
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
      help: 'Operations whose result this instance waits for.',
      registers,
    }),
    forwards: new Counter({
      name: 'agent_gateway_forwards_total',
      help: 'Operations forwarded to another instance, by outcome (taken, not_owner, unreachable, timed_out, refused).',
      labelNames: ['outcome'],
      registers,
    }),
    authentications: new Counter({
      name: 'agent_gateway_authentications_total',
      help: 'Authentications of clients, by port (agents, rest) and outcome (admitted, or the reason for the refusal).',
      labelNames: ['port', 'outcome'],
      registers,
    }),
    results: new Counter({
      name: 'agent_gateway_results_total',
      help: 'Results from agents, by where they went (local, forwarded, recorded, unknown, foreign, too_large).',
      labelNames: ['way'],
      registers,
    }),
    resent: new Counter({
      name: 'agent_gateway_operations_resent_total',
      help: 'Operations resent after their agent or owner was lost.',
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
      help: 'Records of operations that were deleted because of their age.',
      registers,
    }),
    refusedConnections: new Counter({
      name: 'agent_gateway_refused_connections_total',
      help: 'Connections that were refused, by the protocol of their first bytes, or because of a limit (protocol="limit"), or closed because they stalled ("stalled").',
      labelNames: ['port', 'protocol'],
      registers,
    }),
    certificateExpiry: new Gauge({
      name: 'agent_gateway_tls_certificate_expiry_timestamp_seconds',
      help: 'Expiry of the certificate of a port, in seconds since 1970.',
      labelNames: ['port'],
      registers,
    }),
    tlsRenewals: new Counter({
      name: 'agent_gateway_tls_renewals_total',
      help: 'Changes of the TLS files of a port, by outcome: taken, or refused because they cannot be used.',
      labelNames: ['port', 'outcome'],
      registers,
    }),
    mirrorSize: new Gauge({
      name: 'agent_gateway_mirror_accounts',
      help: 'Accounts in the ownership mirror of this instance.',
      registers,
    }),
    mirrorLive: new Gauge({
      name: 'agent_gateway_mirror_live',
      help: '1 while the mirror follows Redis without gaps.',
      registers,
    }),
    mirrorAge: new Gauge({
      name: 'agent_gateway_mirror_age_seconds',
      help: 'Time since the mirror stopped following Redis; 0 while it follows.',
      registers,
    }),
    mirrorGaps: new Counter({
      name: 'agent_gateway_mirror_gaps_total',
      help: 'Gaps in the stream of invalidations.',
      registers,
    }),
    mirrorReloads: new Counter({
      name: 'agent_gateway_mirror_reloads_total',
      help: 'Reloads of the mirror.',
      registers,
    }),
    instances: new Gauge({
      name: 'agent_gateway_instances',
      help: 'Instances that discovery knows, by readiness.',
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
      help: 'Turns in which this instance processed a dynamic account, by aim (serve, clear) and resulting status.',
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
      help: 'Size of the messages with cached objects that were committed.',
      registers,
    }),
    cachingLag: new Histogram({
      name: 'agent_gateway_caching_lag_seconds',
      help: 'Time from receipt to commit of cached objects, for the oldest message of each commit.',
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
      help: 'Size of cached objects that were received but are not committed yet.',
      registers,
    }),
    redisConnected: new Gauge({
      name: 'agent_gateway_redis_connected',
      help: '1 while the connection to Redis is open, or if Redis is not configured.',
      registers,
    }),
    ready: new Gauge({ name: 'agent_gateway_ready', help: '1 while this instance accepts operations.', registers }),
    leaseLosses: new Counter({
      name: 'agent_gateway_lease_losses_total',
      help: 'Times that the lease may have lapsed and all accounts were reclaimed, because the database or this instance did not respond.',
      registers,
    }),
    leaseHeld: new Gauge({
      name: 'agent_gateway_lease_held',
      help: '1 while this instance holds its lease in SQL. Without it, other instances take over its accounts.',
      registers,
    }),
    queueLength: new Gauge({
      name: 'agent_gateway_queue_length',
      help: 'Entries in queues: agents (frames that agents have not read), peers (operations and results for other instances), operations, outcomes and notes (records for SQL).',
      labelNames: ['queue'],
      registers,
    }),
    draining: new Gauge({ name: 'agent_gateway_draining', help: '1 while this instance drains.', registers }),
  };
}
