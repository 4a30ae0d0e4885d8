/** Metrics of operations: how they went, which wait, which were recorded. */

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ErrorCode } from '../../core/errors.js';
import type { FinalOutcome } from '../../store/operations/operation-record.js';
import { secondsBuckets } from './buckets.js';

/** How an operation went: its agent was connected here, or to another instance, or it reached none. */
export type Path = 'local' | 'forwarded' | 'none';

export function operationMetrics(registers: Registry[]) {
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
    buckets: [...secondsBuckets, 60, 300],
    registers,
  });
  const routingSeconds = new Histogram({
    name: 'agent_gateway_routing_duration_seconds',
    help: 'Time from receipt of an operation until the owner has taken it.',
    labelNames: ['path'],
    buckets: secondsBuckets,
    registers,
  });
  return {
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
      help: 'Operations forwarded to another instance, by outcome: taken, or the last part of the `type` of the problem: not-owner, owner-unreachable, timed-out and so on.',
      labelNames: ['outcome'],
      registers,
    }),
    results: new Counter({
      name: 'agent_gateway_results_total',
      help: 'Results from agents, by where they went (local, forwarded, recorded, unknown, foreign, too-large).',
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
  };
}
